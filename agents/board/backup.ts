import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Connection } from '../../host/ssh.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import { StepFailed } from '../runtime/errors.ts';
import type { Step, StepContext } from '../runtime/step.ts';
import { type BackupArchive, backupFile, createBackupArchive } from './backup-archive.ts';
import { onBoard } from './board-root.ts';
import { bannerRelease, imageBanner } from './boot.ts';
import { createBootLoader } from './boot-loader/create-boot-loader.ts';
import { moduleReleases } from './kept-paths.ts';
import { backupStatementOf } from './own-backup.ts';
import { cachedPackage, type KeptPackage } from './pacman/cached-package.ts';
import { createPacman } from './pacman/pacman.ts';
import { atPeer, peerNamed } from './peer-named.ts';
import { hasContent } from './staged.ts';

/** @throws {StepFailed} (work) if another version is installed. */
const makeArchive = async (
  { host, run, workFolder }: Pick<StepContext<BoardConfig>, 'host' | 'run' | 'workFolder'>,
  { version, names }: Pick<StepRequest<'backup'>, 'version' | 'names'>,
): Promise<BackupArchive> => {
  const pacman = createPacman(host, run);
  const packages: KeptPackage[] = [];
  const releases = new Set<string>();
  for (const name of names) {
    const entry = await pacman.installed(name);
    if (entry?.version !== version)
      throw new StepFailed(
        'work',
        `${name} ${entry?.version ?? 'is not'} installed on ${host.host} and the plan starts from ${version}: correct the plan's "from".`,
      );
    packages.push(await cachedPackage(run, host, { name, entry, folder: join(workFolder, 'fetched') }));
    for (const release of moduleReleases(entry.entries)) releases.add(release);
  }
  return createBackupArchive(run, host, { version, releases: [...releases], packages, workFolder });
};

/**
 * Keeps what a rollback needs, here and on the backup host. The installed system stays as it is; a cut leaves a
 * `.part` here or there.
 */
export const backup: Step<'backup', BoardConfig> = async (request, context) => {
  const { effect, host, run, note, attest, workFolder, signal } = context;
  const { version } = request;
  const peer = peerNamed(host, request.host);
  const madeFile = join(workFolder, 'made.json');

  const made = await effect('archive', {
    probe: async () => {
      // A cut may have left it empty.
      const made: BackupArchive | undefined = await readFile(madeFile, 'utf8')
        .then(JSON.parse)
        .catch(() => undefined);
      const there = made && (await hasContent(backupFile(host, { version, ...made }), made.archive.sha256));
      return there ? { happened: 'yes', result: made } : { happened: 'no' };
    },
    act: async () => {
      await createBootLoader({ host, run, note }).requireSettled();
      const made = await makeArchive({ host, run, workFolder }, request);
      await writeFile(madeFile, JSON.stringify(made));
      return made;
    },
  });

  const place = `${host.host}/${version}`;
  const local = backupFile(host, { version, ...made });
  const remote = `${place}/${made.archive.file}`;
  const isThere = async (there: Connection) =>
    (await there.hash(remote, made.archive.sizeBytes))?.sha256 === made.archive.sha256;
  const copy = async (there: Connection): Promise<null> => {
    if (await isThere(there)) {
      note(`${request.host} holds ${remote} already`);
      return null;
    }
    await there.put(`${local}.json`, `${remote}.json`);
    const copied = await there.put(local, remote);
    if (copied.sha256 !== made.archive.sha256)
      throw new Error(`${local} changed while it was copied: it has the sha256 ${copied.sha256}.`);
    return null;
  };
  await effect('copy', {
    probe: async () =>
      (await atPeer(peer, isThere, signal)) ? { happened: 'yes', result: null } : { happened: 'no' },
    act: () => atPeer(peer, copy, signal),
  });

  const release = bannerRelease(await imageBanner(onBoard(host.root, host.boot.image)));
  const held = { host: request.host, place, version, release, ...made };
  return { ...held, attestation: attest(backupStatementOf(context, held)) };
};
