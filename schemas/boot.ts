import { z } from 'zod';

/** What a running system says of itself: boot id, `uname -r`, `/proc/version`. */
export const Boot = z.object({ bootId: z.string(), release: z.string(), procVersion: z.string() });
export type Boot = z.infer<typeof Boot>;

/** How the new kernel ended, where another one came back. */
export const FellBack = z.object({
  /** `deadline`: it ran, and the board's own deadline took it away. */
  how: z.enum(['panic', 'watchdog', 'deadline', 'unknown']),
  /** Its last words, where it left any; the deadline's reason. */
  says: z.string().optional(),
});
export type FellBack = z.infer<typeof FellBack>;
