import type { Boot } from '../../../schemas/boot.ts';
import type { Clock } from '../../runtime/ports.ts';
import { type Deadline, type DeadlineReport, ended, isOf } from './deadline.ts';
import type { WatchedBoard } from './watched-board.ts';

export interface GoingBack {
  board: WatchedBoard;
  clock: Clock;
  note: (line: string) => void;
  signal: AbortSignal;
  /** The pause between two tries to put the backup back; how long a reboot may take. */
  pauseMs: number;
  rebootWithinMs: number;
}

const triesAtMost = 3;
/**
 * How often one try may be begun in the same boot: what kills this process, such as a lack of memory, may do so for
 * ever.
 */
const startsAtMost = 10;

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const failed = ({ backup }: Deadline, why: string): string =>
  `${triesAtMost} tries to put ${backup.version} back failed: ${why}`;

const withoutTry = ({ tryingIn: _ended, starts: _with, ...report }: DeadlineReport): DeadlineReport => report;

/** Reboots. After a refusal, as by a busy systemd, it waits as long as for a reboot that does not come. */
export const reboot = async ({ board, clock, note, signal, rebootWithinMs }: GoingBack): Promise<void> => {
  await board.askForReboot().catch((error: unknown) => note(said(error)));
  await clock.pause(rebootWithinMs, signal);
};

/** Writes a report after which nothing is put back any more. */
const keepOutcome = async ({ board, note }: GoingBack, report: DeadlineReport): Promise<void> => {
  // The work folder goes first, since the report may need its room. After a cut here the put-back runs again and finds
  // everything right.
  await board.clear().catch((error: unknown) => note(said(error)));
  await board.report.write(report);
};

/** Gives up under this kernel. Under the held kernel it is tried once more; after that there is no further try. */
const giveUp = async (
  going: GoingBack,
  deadline: Deadline,
  before: DeadlineReport,
  why: string,
): Promise<void> => {
  const { board, clock, note } = going;
  const report = withoutTry(before);
  const now = await board.boot();
  const mayTryHeld = now.bootId === report.unconfirmed.bootId && report.reboots < triesAtMost;
  if (mayTryHeld && (await board.bootsHeld())) {
    note(`${why}; reboot into the kernel that is held, to try it there`);
    await board.report.write({
      ...report,
      tries: 0,
      reboots: report.reboots + 1,
      rebootAskedAt: clock.now(),
    });
    return reboot(going);
  }
  const because = `${report.because}; ${why}`;
  note(`given up on ${deadline.backup.version}, the board stays as it is: ${because}`);
  await keepOutcome(going, ended({ ...before, because, restored: false }, now));
};

/** Returns the report of the try that begins now, or of the one that was begun earlier in this boot. */
const tryIn = (before: DeadlineReport, { bootId }: Boot) => {
  // A power cut ends a try. If this process is started again in the same boot, it goes on with the try that it has
  // begun.
  const isBegun = before.tryingIn === bootId;
  const tries = isBegun ? before.tries : before.tries + 1;
  const starts = isBegun ? (before.starts ?? 1) + 1 : 1;
  return { ...before, tries, starts, tryingIn: bootId };
};

const tryToPutBack = async (going: GoingBack, deadline: Deadline, before: DeadlineReport): Promise<void> => {
  const { board, clock, note, signal, pauseMs } = going;
  const boot = await board.boot();
  const report = tryIn(before, boot);
  const { tries, starts } = report;
  const { version } = deadline.backup;
  if (starts > startsAtMost)
    return giveUp(
      going,
      deadline,
      before,
      `the put-back of ${version} was begun ${startsAtMost} times in one boot, and killed each time`,
    );
  await board.report.write(report);
  note(`${report.because}: back to ${version}, try ${tries} of ${triesAtMost}`);
  try {
    const changed = await board.putBack(deadline);
    const restored = { ...report, restored: true, restoredIn: boot };
    // If no report could be written before the reboot, this is already the boot after it, and another reboot would be
    // useless.
    const isBack = tries === 1 && starts === 1 && !changed && (await board.runsInstalled(boot));
    await keepOutcome(going, isBack ? ended(restored, boot) : restored);
  } catch (error) {
    if (signal.aborted) return;
    note(`try ${tries}: ${said(error)}`);
    if (tries >= triesAtMost) return giveUp(going, deadline, report, failed(deadline, said(error)));
    await board.report.write(withoutTry(report));
    await clock.pause(pauseMs, signal);
  }
};

const rebootOnce = async (going: GoingBack, before: DeadlineReport, now: Boot): Promise<void> => {
  const { board, clock, note } = going;
  if (before.reboots >= triesAtMost) {
    const because = `${before.because}; everything is put back, but the board did not reboot in ${triesAtMost} tries`;
    note(because);
    return keepOutcome(going, ended({ ...before, because }, now));
  }
  const report = { ...before, reboots: before.reboots + 1, rebootAskedAt: clock.now() };
  await board.report.write(report);
  note(`all is put back: reboot ${report.reboots} of at most ${triesAtMost}`);
  await reboot(going);
};

const begin = async (board: WatchedBoard, deadline: Deadline, because: string): Promise<DeadlineReport> => ({
  iteration: deadline.iteration,
  attempt: deadline.attempt,
  because,
  unconfirmed: await board.boot(),
  tries: 0,
  reboots: 0,
  restored: null,
  over: false,
});

/**
 * Goes on with a deadline that has gone off: the backup is put back, at most three times, then the board reboots, at
 * most three times. Each action is in the report before it is taken.
 * @param why the reason that it has gone off, used if there is no report yet.
 */
export const goBack = async (going: GoingBack, deadline: Deadline, why: string): Promise<void> => {
  const { board, clock } = going;
  const kept = await board.report.read();
  const report = kept && isOf(kept, deadline) ? kept : await begin(board, deadline, why);
  if (report.over) return;
  const now = await board.boot();
  if (report.restored && report.restoredIn) {
    if (now.bootId === report.restoredIn.bootId) await rebootOnce(going, report, now);
    else await keepOutcome(going, { ...ended(report, now), backAt: clock.now() });
  } else if (report.tries >= triesAtMost && report.tryingIn !== now.bootId)
    await giveUp(going, deadline, report, failed(deadline, 'the power was cut in the last one'));
  else await tryToPutBack(going, deadline, report);
};
