import { z } from 'zod';
import { Release } from './names.ts';

/** What a running system reports about itself: boot id, `uname -r`, `/proc/version`. */
export const Boot = z.object({ bootId: z.string(), release: Release, procVersion: z.string() });
export type Boot = z.infer<typeof Boot>;

/** How the new kernel ended, if another one came back. */
export const FellBack = z.object({
  /** `deadline`: it ran, and the board's own deadline took it away. */
  how: z.enum(['panic', 'watchdog', 'deadline', 'unknown']),
  /** The kernel's last words, if it left any; for `deadline`, the reason. */
  says: z.string().optional(),
});
export type FellBack = z.infer<typeof FellBack>;
