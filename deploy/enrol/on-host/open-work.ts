import { existsSync } from 'node:fs';
import { z } from 'zod';
import { asUserArgv } from '../../../eventlog/files/as-user.ts';
import type { Run } from '../../../host/run.ts';
import type { Owner } from './owner.ts';

/** The work that a host would leave unfinished if its agent were removed. */
export const OpenWork = z.object({
  /** A sentence if the deadline is armed, or has gone off and is not done; otherwise null. */
  deadline: z.string().nullable(),
  attempts: z.array(z.string()),
  unsent: z.int(),
});
export type OpenWork = z.infer<typeof OpenWork>;

/**
 * Asks the host's installed program what is open, as the user to whom the journal belongs: SQLite would follow a link
 * that stands for one of its files, and give root's file away.
 * @param argv `node …/host.mjs open --config FILE`; empty: nothing is run.
 * @returns null if no agent is installed, or it was removed before.
 * @throws {ProgramFailed} if it does not run there.
 */
export const readOpenWork = async (
  run: Run,
  argv: readonly string[],
  owner: Owner,
): Promise<OpenWork | null> => {
  const file = argv.find((word) => word.endsWith('.mjs'));
  if (file === undefined || !existsSync(file)) return null;
  return OpenWork.parse(JSON.parse((await run([...asUserArgv(owner), ...argv], { quiet: true })).stdout));
};
