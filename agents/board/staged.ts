import { join } from 'node:path';
import { hashFile } from '../../host/hash-file.ts';
import type { Run } from '../../host/run.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import { StepFailed } from '../runtime/errors.ts';
import { verifySignature } from '../runtime/openpgp-verify.ts';

export type SignedPackage = StepRequest<'stage'>['packages'][number];

/** Where staged packages are kept: each in a folder named by its sha256, so that a later attempt finds it. */
export const stagedFolder = (host: Pick<BoardConfig, 'stateFolder'>): string =>
  join(host.stateFolder, 'staged');

export const stagedFile = (
  host: Pick<BoardConfig, 'stateFolder'>,
  { sha256, file }: Pick<SignedPackage, 'sha256' | 'file'>,
): string => join(stagedFolder(host), sha256, file);

/** Whether a file is there and holds these bytes. */
export const hasContent = async (file: string, sha256: string): Promise<boolean> =>
  (await hashFile(file).catch(() => undefined))?.sha256 === sha256;

/** @throws {StepFailed} (work) if the request names another key than the one that this board pins. */
export const refuseOtherKey = (host: Pick<BoardConfig, 'signing'>, fingerprint: string): void => {
  if (fingerprint !== host.signing.fingerprint)
    throw new StepFailed(
      'work',
      `The request names the signing key ${fingerprint} and this board pins ${host.signing.fingerprint}: correct the one that is wrong.`,
    );
};

/**
 * Checks a package and its signature, as they are on this board now, against the request and the key that the board
 * pins.
 * @throws {StepFailed} (host) if they aren't the ones that were staged, (work) if the signature isn't by that key.
 */
export const verifyStaged = async (
  run: Run,
  host: Pick<BoardConfig, 'stateFolder' | 'signing'>,
  wanted: SignedPackage,
): Promise<void> => {
  const file = stagedFile(host, wanted);
  const signature = `${file}.sig`;
  for (const [path, sha256] of [
    [file, wanted.sha256],
    [signature, wanted.signatureSha256],
  ] as const)
    if (!(await hasContent(path, sha256)))
      throw new StepFailed(
        'host',
        `${path} is not there with the sha256 ${sha256}: it was removed or altered since it was staged; stage it again.`,
      );
  await verifySignature(run, { file, signature, ...host.signing });
};
