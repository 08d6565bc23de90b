import { existsSync } from 'node:fs';
import { z } from 'zod';
import type { Run } from '../../../host/run.ts';

/** The work that a host would leave unfinished if its agent were removed. */
export const OpenWork = z.object({
  /** A sentence if the deadline is armed, or has gone off and is not done; otherwise null. */
  deadline: z.string().nullable(),
  attempts: z.array(z.string()),
  unsent: z.int(),
});
export type OpenWork = z.infer<typeof OpenWork>;

/**
 * Asks the host's installed program what is open.
 * @param argv `node …/host.mjs open --config FILE`; empty: nothing is run.
 * @returns null if no agent is installed, or it was removed before.
 * @throws {ProgramFailed} if it does not run there.
 */
export const readOpenWork = async (run: Run, argv: readonly string[]): Promise<OpenWork | null> => {
  const file = argv.find((word) => word.endsWith('.mjs'));
  if (file === undefined || !existsSync(file)) return null;
  return OpenWork.parse(JSON.parse((await run(argv, { quiet: true })).stdout));
};
