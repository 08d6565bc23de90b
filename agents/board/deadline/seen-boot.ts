import { z } from 'zod';
import type { Clock } from '../../runtime/ports.ts';
import { type Deadline, isOf } from './deadline.ts';
import type { KeptFile } from './kept-file.ts';

/** Which boot the watch has seen, and since when. */
export const SeenBoot = z.object({
  iteration: z.string(),
  attempt: z.int(),
  /** How many unconfirmed boots were of the new kernel. Boots of the previous kernel don't count. */
  boots: z.int(),
  /** The present boot. */
  bootId: z.string(),
  /** When it was first seen, by the kernel's clock that nobody sets (CLOCK_MONOTONIC), in milliseconds. */
  sinceMs: z.number(),
});

/**
 * Returns how long this boot has gone unconfirmed, and how many boots of the new kernel have. The first look at a boot
 * is kept on the disk.
 */
export const unconfirmed = async (
  { file, clock }: { file: KeptFile<z.infer<typeof SeenBoot>>; clock: Pick<Clock, 'monotonicMs'> },
  { iteration, attempt }: Deadline,
  bootId: string,
  isOther: () => Promise<boolean>,
): Promise<{ seconds: number; boots: number }> => {
  const kept = await file.read().catch(() => undefined); // after a damaged file the count starts again
  const before = kept && isOf(kept, { iteration, attempt }) ? kept : undefined;
  const now = clock.monotonicMs();
  if (before?.bootId === bootId && before.sinceMs <= now)
    return { seconds: (now - before.sinceMs) / 1000, boots: before.boots };
  const counts = before?.bootId !== bootId && !(await isOther());
  const boots = (before?.boots ?? 0) + (counts ? 1 : 0);
  await file.write({ iteration, attempt, boots, bootId, sinceMs: now });
  return { seconds: 0, boots };
};
