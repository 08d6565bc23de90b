import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from '../../host/ssh.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import { StepFailed } from '../runtime/errors.ts';
import type { Step } from '../runtime/step.ts';
import { type BackupArchive, backupFile, createBackupArchive, moduleReleases } from './backup-archive.ts';
import { onBoard } from './board-root.ts';
import { bannerRelease, imageBanner } from './boot.ts';
import { createBootLoader } from './boot-loader/create-boot-loader.ts';
import { cachedPackage, type KeptPackage } from './pacman/cached-package.ts';
import { createPacman } from './pacman/pacman.ts';
import { peerNamed } from './peer-named.ts';
import { hasContent } from './staged.ts';

/**
 * Keeps what a rollback needs, here and on the backup host. The installed system stays as it is; a cut leaves a
 * `.part` here or there.
 */
export const backup: Step<'backup', BoardConfig> = async (
  request,
  { effect, host, run, note, workFolder, signal },
) => {
  const { version, names } = request;
  const pacman = createPacman(host, run);
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
      const made = await createBackupArchive(run, host, {
        version,
        releases: [...releases],
        packages,
        workFolder,
      });
      await writeFile(madeFile, JSON.stringify(made));
      return made;
    },
  });

  const place = `${host.host}/${version}`;
  const local = backupFile(host, { version, ...made });
  const remote = `${place}/${made.archive.file}`;
  await effect('copy', {
    probe: async () => {
      const there = await connect(peer, signal);
      try {
        return (await there.hash(remote))?.sha256 === made.archive.sha256
          ? { happened: 'yes', result: null }
          : { happened: 'no' };
      } finally {
        there.close();
      }
    },
    act: async () => {
      const there = await connect(peer, signal);
      try {
        if ((await there.hash(remote))?.sha256 === made.archive.sha256) {
          note(`${request.host} holds ${remote} already`);
          return null;
        }
        await there.put(`${local}.json`, `${remote}.json`);
        const copied = await there.put(local, remote);
        if (copied.sha256 !== made.archive.sha256)
          throw new Error(`${local} changed while it was copied: it has the sha256 ${copied.sha256}.`);
        return null;
      } finally {
        there.close();
      }
    },
  });

  const release = bannerRelease(await imageBanner(onBoard(host.root, host.boot.image)));
  return { host: request.host, place, version, release, ...made };
};
