import { createSayOnce } from '../../../eventlog/say-once.ts';
import { type GoingBack, goBack, reboot } from './go-back.ts';
import { unconfirmed } from './seen-boot.ts';

export interface DeadlineWatch extends GoingBack {
  /** How often the deadline's file is read. */
  everyMs: number;
}

/** How often a board's own deadline looks, and how long it waits. */
export const deadlineTimes = { everyMs: 1_000, pauseMs: 30_000, rebootWithinMs: 5 * 60_000 };

/** After more unconfirmed boots than this the kernel evidently does not even stay up until the deadline. */
const unconfirmedBootsAtMost = 3;

/**
 * Checks once whether a deadline is due, or has gone off. @param onDue called with the boot in which it was seen to be
 * due.
 */
const look = async (watch: DeadlineWatch, onDue: (bootId: string) => void): Promise<void> => {
  const { board } = watch;
  const armed = await board.armed();
  if (!armed) {
    const fired = await board.fired();
    if (fired) await goBack(watch, fired, `nobody confirmed ${fired.version} in time`);
    return;
  }
  const boot = await board.boot();
  if (boot.bootId === armed.boot.bootId) return;
  const isOther = () => board.runsOther(boot);
  const seen = { file: board.seen, clock: watch.clock };
  const { seconds, boots } = await unconfirmed(seen, armed, boot.bootId, isOther);
  const isLate = seconds >= armed.seconds;
  if (!isLate && boots <= unconfirmedBootsAtMost) return;
  onDue(boot.bootId);
  // Let a running pacman of the agent or of a person finish: it may be part of a confirmation or a rollback.
  await board.quiet();
  const other = await isOther();
  if (!(await board.fire())) return;
  // A missing network under this kernel says nothing about the kernel that was to be confirmed.
  if (other)
    return goBack(
      watch,
      armed,
      `${armed.version} ended before it was confirmed, and ${boot.procVersion} runs since`,
    );
  const because = isLate
    ? `nobody confirmed ${armed.version} within ${armed.seconds} s of its boot`
    : `${armed.version} booted ${boots} times and nobody confirmed it`;
  const lacks = await board.networkFault();
  await goBack(watch, armed, lacks === undefined ? because : `${because}; it had no network: ${lacks}`);
};

/**
 * Tells the boot loader about this boot, once. Until then a boot loader without trials of its own boots the new kernel
 * next.
 */
const createLoaderTold = ({ board, note }: DeadlineWatch): (() => Promise<void>) => {
  const telling = createSayOnce(note);
  let isTold = false;
  return async () => {
    if (isTold) return;
    try {
      await board.tellLoader();
      isTold = true;
      telling.over();
    } catch (error) {
      telling.trouble(error); // the deadline itself does not depend on it
    }
  };
};

/**
 * Under this kernel nothing can be begun, for example because its root has become read-only. The held kernel may not
 * have that trouble.
 */
const leaveKernel = async (watch: DeadlineWatch, dueIn: string | undefined): Promise<void> => {
  const { board, note } = watch;
  const now = await board.boot();
  if (now.bootId !== dueIn || !(await board.runsInstalled(now)) || !(await board.bootsHeld())) return;
  note('the deadline is due and can do nothing under this kernel: reboot into the one that is held');
  await reboot(watch);
};

/**
 * Watches the armed deadline until the signal fires. It asks nobody and needs no network. A kernel that is not
 * confirmed in time is taken away: the backup is put back, with at most three tries, then the board reboots, with at
 * most three tries. If the put-back fails under that kernel, it is tried again under the held one. Each action is in
 * the report before it is taken, so that after a power cut the watch goes on from there and never starts over. A full
 * disk holds up none of this: the counts are then kept in memory.
 */
export const watchDeadline = async (watch: DeadlineWatch): Promise<void> => {
  const { clock, note, signal, everyMs, rebootWithinMs } = watch;
  const looking = createSayOnce(note);
  const tellLoader = createLoaderTold(watch);
  let dueIn: string | undefined;
  let troubleSinceMs: number | undefined;
  while (!signal.aborted) {
    await tellLoader(); // as early as can be
    try {
      await look(watch, (bootId) => {
        dueIn = bootId;
      });
      looking.over();
      troubleSinceMs = undefined;
    } catch (error) {
      if (signal.aborted) break;
      looking.trouble(error);
      troubleSinceMs ??= clock.monotonicMs();
      if (clock.monotonicMs() - troubleSinceMs >= rebootWithinMs)
        await leaveKernel(watch, dueIn).catch((failed: unknown) => looking.trouble(failed));
    }
    await clock.pause(everyMs, signal);
  }
};
