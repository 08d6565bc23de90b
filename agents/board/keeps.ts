import { rm, rmdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Run } from '../../host/run.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { HostIterations } from '../runtime/disks/host-iterations.ts';
import type { Keeping, KeepingTools } from '../runtime/disks/kept.ts';
import type { BackupArchive } from './backup-archive.ts';
import { readArmed, readFired } from './deadline/deadline.ts';
import { archivesOf } from './kept-archives.ts';
import { keptCopies } from './kept-copies.ts';
import { createPacman } from './pacman/pacman.ts';

/**
 * The archives that a way back may lead to: those of iterations that go on, and whoever says what goes on, the last one; the
 * last one of what is installed, whose packages the next backup may have to take from there; and those of the board's own
 * deadline, which asks nobody.
 */
const neededArchives = async (
  run: Run,
  host: BoardConfig,
  archives: readonly { path: string; version: string }[],
  { openAttempts, effect }: HostIterations,
): Promise<Set<string | undefined>> => {
  const pacman = createPacman(host, run);
  const installed = new Set<string | undefined>();
  for (const name of host.packages) installed.add((await pacman.installed(name))?.version);
  const ofOpen = openAttempts('backup').map((attempt) => {
    const made = effect(attempt, 'archive')?.result as BackupArchive | null | undefined;
    return archives.find(({ path }) => basename(path) === made?.archive.file)?.path;
  });
  const deadlines = [await readArmed(host), await readFired(host)];
  return new Set([
    archives[0]?.path,
    ...ofOpen,
    ...[...installed].map((version) => archives.find((one) => one.version === version)?.path),
    ...deadlines.map((deadline) => deadline?.archive),
  ]);
};

/** The archive first: what a cut leaves beside it is nothing to go back to. */
const removeArchive = async (path: string): Promise<void> => {
  for (const file of [path, `${path}.json`]) await rm(file, { force: true });
  await rmdir(dirname(path)).catch(() => undefined); // another backup of this version is there
};

const backups = (run: Run, host: BoardConfig): Keeping => ({
  kind: 'backups',
  limit: host.keep.backups,
  async list(iterations) {
    const archives = await archivesOf(host);
    const needed = await neededArchives(run, host, archives, iterations);
    return archives.map(({ path, at }) => ({
      name: basename(path),
      at,
      isNeeded: needed.has(path),
      size: { paths: [path] },
      remove: () => removeArchive(path),
    }));
  },
});

/** What grows on a board with each iteration. */
export const boardKeeps = (host: BoardConfig, { run, signal }: KeepingTools): Keeping[] => [
  backups(run, host),
  keptCopies(host, signal),
];
