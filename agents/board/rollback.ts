import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BoardConfig } from '../../schemas/config.ts';
import { StepFailed } from '../runtime/errors.ts';
import { verifySignature } from '../runtime/openpgp-verify.ts';
import { connect } from '../runtime/ssh.ts';
import type { Step } from '../runtime/step.ts';
import { backupFile, boardEntries, unpackBackup } from './backup-archive.ts';
import { rebootBoard } from './boot.ts';
import { lookAtInstalled } from './pacman/installed.ts';
import { alteredFiles } from './pacman/mtree.ts';
import { type PackageContent, readPackageFile } from './pacman/package-file.ts';
import { createPacman } from './pacman/pacman.ts';
import { holdsAll, upgrade } from './pacman/upgrade.ts';
import { peerNamed } from './peer-named.ts';
import { restore } from './restore.ts';
import { hasContent } from './staged.ts';
import { syncBoard } from './sync-board.ts';

/**
 * Brings the board back to its backup, from any state that an install or a cut leaves: packages, then boot files
 * and modules over them, then the reboot. Each part may be done again.
 */
export const rollback: Step<'rollback', BoardConfig> = async (request, context) => {
  const { effect, host, run, note, workFolder, signal } = context;
  const { backup } = request;
  const pacman = createPacman(host, run);
  const archive = backupFile(host, backup);
  const isHere = () => hasContent(archive, backup.archive.sha256);
  note(`back from ${request.from} to ${backup.version}: ${request.because}`);

  await effect('archive', {
    probe: async () => ((await isHere()) ? { happened: 'yes', result: null } : { happened: 'no' }),
    act: async () => {
      if (await isHere()) return null;
      note(`${archive} is not as it was made; ${backup.host} holds a copy`);
      await mkdir(dirname(archive), { recursive: true });
      const there = await connect(peerNamed(host, backup.host), signal);
      try {
        await there.fetch(`${backup.place}/${backup.archive.file}`, archive, backup.archive);
      } finally {
        there.close();
      }
      return null;
    },
  });

  const unpacked = await unpackBackup(run, archive, join(workFolder, 'backup'));
  const contents: PackageContent[] = [];
  for (const file of unpacked.packages) {
    await verifySignature(run, { file, signature: `${file}.sig`, ...host.signing });
    contents.push(await readPackageFile(run, file));
  }
  const other = contents.find(({ version }) => version !== backup.version);
  if (other || contents.length !== backup.packages.length)
    throw new StepFailed(
      'work',
      `${archive} holds other packages than ${backup.version}: it is no backup of it.`,
    );
  await effect('packages', {
    probe: async () => {
      await pacman.quiet();
      return (await holdsAll(pacman, contents)) ? { happened: 'yes', result: null } : { happened: 'no' };
    },
    act: async () => {
      // The install that failed may have left anything in the way.
      await upgrade(note, pacman, contents, { overwrite: true });
      return null;
    },
  });

  const entries = await boardEntries(run, archive);
  const altered = () => alteredFiles(host.root, entries);
  await effect('files', {
    probe: async () =>
      (await altered()).length === 0 ? { happened: 'yes', result: null } : { happened: 'no' },
    act: async () => {
      await restore(unpacked.folder, host.root, entries);
      const [wrong, ...more] = await altered();
      if (wrong !== undefined)
        throw new Error(
          `${wrong} and ${more.length} other files are not as in the backup although they were put back.`,
        );
      return null;
    },
  });

  await syncBoard(context);

  const names = backup.packages.map(({ name }) => name);
  const installed = await lookAtInstalled(context, names, backup.version);
  const rebooted = await rebootBoard(context, { release: backup.release, installedVersion: backup.version });
  return { installed, rebooted };
};
