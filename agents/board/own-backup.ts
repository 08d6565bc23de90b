import { isDeepStrictEqual } from 'node:util';
import { readJson } from '../../eventlog/files/read-json.ts';
import { openEnvelope } from '../../eventlog/signing/envelope.ts';
import { BackupStatement } from '../../schemas/attestation.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import { sha256 } from '../../schemas/hash.ts';
import type { StepEvidence } from '../../schemas/steps.ts';
import { StepFailed } from '../runtime/errors.ts';
import type { StepContext } from '../runtime/step.ts';

type Backup = Omit<StepEvidence<'backup'>, 'attestation'>;
type Context = Pick<StepContext<BoardConfig>, 'host' | 'trust' | 'iteration' | 'ownEvidence'>;

/** What a board attests about a backup that it has made. */
export const backupStatementOf = (
  { host: { host: board }, trust: { fleet }, iteration }: Pick<Context, 'host' | 'trust' | 'iteration'>,
  { host, place, version, release, archive, files, packages }: Backup,
): BackupStatement => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject: [archive, ...packages].map(({ file, sha256 }) => ({ name: file, digest: { sha256 } })),
  predicateType: 'urn:kernel-agent:predicate:backup:v1',
  predicate: {
    ...{ fleet, board, iteration, host, place, version, release },
    files: sha256(files.map((file) => `${file.sha256}  ${file.path}\n`).join('')),
  },
});

/** Why a backup's attestation is not this board's about this backup. */
const attestationFault = (
  context: Context,
  { attestation, ...backup }: StepEvidence<'backup'>,
): string | undefined => {
  if (attestation === undefined) return 'it carries no statement of this board';
  let bytes: Uint8Array;
  try {
    bytes = openEnvelope(context.trust.writers.get(context.host.host)?.keys ?? [], attestation);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const said = readJson(BackupStatement, bytes);
  // The backup of an earlier iteration is one as well.
  const expected = said && backupStatementOf({ ...context, iteration: said.predicate.iteration }, backup);
  return said && isDeepStrictEqual(said, expected)
    ? undefined
    : 'the statement that it carries is about something else';
};

/**
 * Requires that this board has made that backup itself: by its own signature, or by its own journal if the key that
 * signed has been revoked since, which must not keep the board from going back. The coordinator's word is not trusted:
 * whoever has its key and the backup folder could otherwise have an archive of their own put over the board.
 * @throws {StepFailed} (work)
 */
export const requireOwnBackup = (context: Context, backup: StepEvidence<'backup'>): void => {
  const fault = attestationFault(context, backup);
  if (fault === undefined) return;
  const statement = backupStatementOf(context, backup);
  const isJournalled = context
    .ownEvidence('backup')
    .some((made) => isDeepStrictEqual(backupStatementOf(context, made), statement));
  if (!isJournalled)
    throw new StepFailed(
      'work',
      `${backup.archive.file} is no backup that ${context.host.host} has made: ${fault}, and it is not in the journal. Nothing is done with it; run the step backup again.`,
    );
};
