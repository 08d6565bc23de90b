import { join } from 'node:path';
import type { BoardConfig } from '../../schemas/config.ts';

/** Where this board keeps its own backups of a version: a rollback has to work without the network. */
export const backupsFolder = ({ stateFolder }: Pick<BoardConfig, 'stateFolder'>, version: string): string =>
  join(stateFolder, 'backups', version);

/**
 * The folder in a backup's archive that holds the package files. The board's own files are beside it, by their paths
 * below the root.
 */
export const packagesFolder = 'packages';
