import { join, relative } from 'node:path';
import type { BoardConfig } from '../../schemas/config.ts';
import type { StepEvidence } from '../../schemas/steps.ts';
import { StepFailed } from '../runtime/errors.ts';
import { verifySignature } from '../runtime/openpgp-verify.ts';
import { type PackageContent, readPackageFile } from '../runtime/package/package-file.ts';
import type { StepContext } from '../runtime/step.ts';
import { backupFile, boardEntries, unpackBackup } from './backup-archive.ts';
import { onBoard } from './board-root.ts';
import type { BootLoader } from './boot-loader/boot-loader.ts';
import { createBootLoader } from './boot-loader/create-boot-loader.ts';
import { alteredFiles } from './pacman/altered-files.ts';
import { lookAtInstalled } from './pacman/installed.ts';
import { createPacman } from './pacman/pacman.ts';
import { holdsAll, upgrade } from './pacman/upgrade.ts';
import { restore } from './restore.ts';
import { syncBoard } from './sync-board.ts';

type Backup = StepEvidence<'backup'>;
type Context = Pick<
  StepContext<BoardConfig, 'packages' | 'files' | 'settle'>,
  'effect' | 'host' | 'run' | 'note' | 'workFolder'
>;

/**
 * Runs before the installed system is overwritten, so that a complete kernel boots wherever that is cut: the previous
 * kernel, which stays held until it is put back, or the running one. A board that can't hold a kernel goes back all the
 * same.
 */
const holdMeanwhile = async (loader: BootLoader, note: (line: string) => void): Promise<void> => {
  for (const make of [loader.cancelTry, loader.hold])
    await make().catch((error: unknown) =>
      note(`what boots in the meantime: ${error instanceof Error ? error.message : error}`),
    );
};

/** @throws {Error} if files are not as in the backup. */
const refuseAltered = ([wrong, ...more]: readonly string[]): void => {
  if (wrong !== undefined)
    throw new Error(
      `${wrong} and ${more.length} other files are not as in the backup although they were put back.`,
    );
};

/**
 * Unpacks a backup's archive.
 * @throws {StepFailed} (work) if it is not a backup of that version, (host) if it holds what the config does not keep.
 */
const openBackup = async ({ host, run, workFolder }: Context, archive: string, backup: Backup) => {
  const unpacked = await unpackBackup(run, host, archive, backup, join(workFolder, 'backup'));
  const contents: PackageContent[] = [];
  for (const file of unpacked.packages) {
    // The archive's bytes were verified when this board made it. A wrong clock, or a key that has expired since, must
    // not keep the board from going back.
    await verifySignature(run, { file, signature: `${file}.sig`, ...host.signing, acceptExpiredKey: true });
    contents.push(await readPackageFile(run, file));
  }
  const other = contents.find(({ version }) => version !== backup.version);
  if (other || contents.length !== backup.packages.length)
    throw new StepFailed(
      'work',
      `${archive} holds other packages than ${backup.version}: it is no backup of it.`,
    );
  return { unpacked, contents };
};

/** Puts back the file that names the kernel that boots, last of all. @returns whether that was necessary. */
const settleBoot = (
  { effect, host, run }: Context,
  loader: BootLoader,
  folder: string,
  ofBoot: Awaited<ReturnType<typeof boardEntries>>,
): Promise<boolean> => {
  const bootsAsBefore = async () =>
    (await alteredFiles(run, host.root, ofBoot)).length === 0 && (await loader.isSettled());
  return effect('settle', {
    probe: async () => {
      if (!(await bootsAsBefore())) return { happened: 'no' };
      await loader.flushed();
      return { happened: 'yes', result: true };
    },
    act: async () => {
      if (await bootsAsBefore()) return false;
      await loader.flushed(); // the files that the config file is going to name
      await restore(run, folder, host.root, ofBoot);
      await loader.settle();
      return true;
    },
  });
};

/**
 * Puts the board back to a backup whose archive is here, from any state that an install or a cut leaves: packages, then
 * boot files and modules over them, each synced to the disk, and last the file that names the kernel that boots. Until
 * then a kernel boots that nothing here writes to. Each part may be repeated, and what is right already stays.
 * @returns What was found installed afterwards, and whether anything had to be changed.
 * @throws {StepFailed} (work) if the archive is not a backup of that version, (host) if it holds what the board's
 * config does not keep, or the board isn't as it was then.
 */
export const putBack = async (
  context: Context,
  backup: Backup,
): Promise<{ installed: StepEvidence<'install'>; changed: boolean }> => {
  const { effect, host, run, note } = context;
  const pacman = createPacman(host, run);
  const loader = createBootLoader({ host, run, note });
  const archive = backupFile(host, backup);

  // A pacman that outlived its agent may still read the files that are unpacked again here.
  await pacman.quiet();
  const { unpacked, contents } = await openBackup(context, archive, backup);

  // If a probe finds this done after a cut, it can't tell who did it, so it counts as a change.
  const packagesChanged = await effect('packages', {
    probe: async () => {
      await pacman.quiet();
      if (!(await holdsAll(pacman, contents))) return { happened: 'no' };
      await syncBoard(run, host);
      return { happened: 'yes', result: true };
    },
    act: async () => {
      await pacman.quiet();
      const changes = !(await holdsAll(pacman, contents));
      if (changes) {
        await holdMeanwhile(loader, note);
        // The failed install may have left anything in the way.
        await upgrade(note, pacman, contents, { overwrite: true, acceptExpiredKey: true });
      }
      await syncBoard(run, host); // what is right may be so only in memory
      return changes;
    },
  });

  const all = await boardEntries(run, archive);
  const bootConfig = loader.configFile && relative(host.root, onBoard(host.root, loader.configFile));
  const entries = all.filter(({ path }) => path !== bootConfig);
  const altered = () => alteredFiles(run, host.root, entries);
  const filesChanged = await effect('files', {
    probe: async () => {
      if ((await altered()).length > 0) return { happened: 'no' };
      await syncBoard(run, host);
      return { happened: 'yes', result: true };
    },
    act: async () => {
      const changes = (await altered()).length > 0;
      if (changes) {
        await holdMeanwhile(loader, note);
        await restore(run, unpacked.folder, host.root, entries);
        refuseAltered(await altered());
      }
      await syncBoard(run, host);
      return changes;
    },
  });

  const ofBoot = all.filter(({ path }) => path === bootConfig);
  const bootChanged = await settleBoot(context, loader, unpacked.folder, ofBoot);

  const names = backup.packages.map(({ name }) => name);
  const installed = await lookAtInstalled(context, names, backup.version);
  return { installed, changed: packagesChanged || filesChanged || bootChanged };
};
