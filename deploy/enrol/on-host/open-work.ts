import { existsSync } from 'node:fs';
import { z } from 'zod';
import type { Run } from '../../../host/run.ts';

/** What a host would leave undone if its agent were taken away. */
export const OpenWork = z.object({
  /** The deadline that would put an unconfirmed kernel away, or is at it. */
  deadline: z.string().nullable(),
  attempts: z.array(z.string()),
  unsent: z.int(),
});
export type OpenWork = z.infer<typeof OpenWork>;

/**
 * Asks the host's installed program what is open.
 * @param argv `node …/host.mjs open --config FILE`; none: nobody is asked.
 * @returns null where nothing was installed, or it was taken away before.
 * @throws {ProgramFailed} if it does not run there.
 */
export const readOpenWork = async (run: Run, argv: readonly string[]): Promise<OpenWork | null> => {
  const file = argv.find((word) => word.endsWith('.mjs'));
  if (file === undefined || !existsSync(file)) return null;
  return OpenWork.parse(JSON.parse((await run(argv, { quiet: true })).stdout));
};
