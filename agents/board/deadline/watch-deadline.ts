import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { createSayOnce } from '../../../eventlog/say-once.ts';
import type { Run } from '../../../host/run.ts';
import type { Boot } from '../../../schemas/boot.ts';
import type { BoardConfig } from '../../../schemas/config.ts';
import type { Effect } from '../../runtime/step.ts';
import { onBoard } from '../board-root.ts';
import { imageBanner, readBoot, runsInstalled } from '../boot.ts';
import { createBootLoader } from '../boot-loader/boot-loader.ts';
import { networkFault } from '../network-fault.ts';
import { createPacman } from '../pacman/pacman.ts';
import { putBack } from '../put-back.ts';
import { hasContent } from '../staged.ts';
import {
  type Deadline,
  DeadlineReport,
  deadlineWorkFolder,
  ended,
  fire,
  isOf,
  readArmed,
  readFired,
  reportFile,
  seenFile,
} from './deadline.ts';
import { createKeptFile, type KeptFile } from './kept-file.ts';

export interface DeadlineWatch {
  host: BoardConfig;
  run: Run;
  note: (line: string) => void;
  signal: AbortSignal;
  /** How often the file is asked; the pause between two tries to put the backup back; how long a reboot may take. */
  everyMs?: number;
  pauseMs?: number;
  rebootWithinMs?: number;
}

const triesAtMost = 3;
/** As often one try may be begun in the same boot: what kills this process, as a lack of memory does, may do so for ever. */
const startsAtMost = 10;
/** More boots of it than that without a confirmation: the kernel does not even stay up until the deadline. */
const unconfirmedBootsAtMost = 3;

const Seen = z.object({
  iteration: z.string(),
  attempt: z.int(),
  /** How many unconfirmed boots were of the new kernel: those of the one before it say nothing of it. */
  boots: z.int(),
  /** The present boot. */
  bootId: z.string(),
  /** When it was seen first, by the kernel's clock that nobody sets (CLOCK_MONOTONIC), in milliseconds. */
  sinceMs: z.number(),
});

/** That clock runs on over a restart of this process, and begins anew at each boot. */
const monotonicMs = (): number => Number(process.hrtime.bigint() / 1_000_000n);

/**
 * For how long this boot has gone unconfirmed, and how many of the new kernel have. The first look at a boot is kept on
 * the disk.
 */
const unconfirmed = async (
  file: KeptFile<z.infer<typeof Seen>>,
  { iteration, attempt }: Deadline,
  bootId: string,
  isOther: () => Promise<boolean>,
) => {
  const kept = await file.read().catch(() => undefined); // a damaged one only makes it count anew
  const before = kept && isOf(kept, { iteration, attempt }) ? kept : undefined;
  const now = monotonicMs();
  if (before?.bootId === bootId && before.sinceMs <= now)
    return { seconds: (now - before.sinceMs) / 1000, boots: before.boots };
  const counts = before?.bootId !== bootId && !(await isOther());
  const boots = (before?.boots ?? 0) + (counts ? 1 : 0);
  await file.write({ iteration, attempt, boots, bootId, sinceMs: now });
  return { seconds: 0, boots };
};

/** Without a journal each part of a put-back looks for itself what is left to do, and says whether that was anything. */
const effect: Effect = async (_name, { before, act }) =>
  act((before === undefined ? undefined : await before()) as never);

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Watches the armed deadline until `signal` fires. It asks nobody and needs no network. A kernel that is not confirmed
 * in time goes away: the backup is put back, at most three times, then the board reboots, at most three times. What can't be
 * put back under that kernel is tried once more under the one that is held. What it
 * does is in its report before it does it, so that a power cut anywhere lets it go on from there and never begin anew.
 * A disk that is full holds up none of this: then its counts are kept in memory.
 */
export const watchDeadline = async ({
  host,
  run,
  note,
  signal,
  everyMs = 1_000,
  pauseMs = 30_000,
  rebootWithinMs = 5 * 60_000,
}: DeadlineWatch): Promise<void> => {
  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => undefined);
  const seen = createKeptFile(seenFile(host), Seen, note);
  const reported = createKeptFile(reportFile(host), DeadlineReport, note);
  const workFolder = deadlineWorkFolder(host);
  const loader = createBootLoader({ host, run, note });

  /** Keeps a report after which nothing is put back any more. */
  const keepOutcome = async (report: DeadlineReport): Promise<void> => {
    // First: its room may be what the report lacks. Cut here, all of it is looked at again, and is right.
    await rm(workFolder, { recursive: true, force: true }).catch((error: unknown) => note(said(error)));
    await reported.write(report);
  };

  const begin = async (deadline: Deadline, because: string): Promise<DeadlineReport> => ({
    iteration: deadline.iteration,
    attempt: deadline.attempt,
    because,
    unconfirmed: await readBoot(host),
    tries: 0,
    reboots: 0,
    restored: null,
    over: false,
  });

  /** A reboot that is refused, as by a systemd that is busy, is given as long as one that does not come. */
  const reboot = async (): Promise<void> => {
    await run(host.boot.rebootCommand, { outlive: true }).catch((error: unknown) => note(said(error)));
    await pause(rebootWithinMs);
  };

  /** Whether a reboot would be into the kernel from before, which may do what can't be done under this one. */
  const bootsHeld = (): Promise<boolean> =>
    loader.triesOnce ? loader.isHeld().catch(() => false) : Promise.resolve(false);

  const giveUp = async (deadline: Deadline, before: DeadlineReport, why: string) => {
    const { tryingIn: _ended, starts: _with, ...report } = before;
    const now = await readBoot(host);
    if (now.bootId === report.unconfirmed.bootId && report.reboots < triesAtMost && (await bootsHeld())) {
      note(`${why}; reboot into the kernel that is held, to try it there`);
      await reported.write({ ...report, tries: 0, reboots: report.reboots + 1, rebootAskedAt: Date.now() });
      return reboot();
    }
    const because = `${report.because}; ${why}`;
    note(`given up on ${deadline.backup.version}, the board stays as it is: ${because}`);
    await keepOutcome(ended({ ...before, because, restored: false }, now));
  };
  const failed = ({ backup }: Deadline, why: string): string =>
    `${triesAtMost} tries to put ${backup.version} back failed: ${why}`;

  const tryToPutBack = async (deadline: Deadline, before: DeadlineReport): Promise<void> => {
    const boot = await readBoot(host);
    // A power cut ends a try; this process, started again in the same boot, goes on with the one that it has begun.
    const isBegun = before.tryingIn === boot.bootId;
    const tries = isBegun ? before.tries : before.tries + 1;
    const starts = isBegun ? (before.starts ?? 1) + 1 : 1;
    if (starts > startsAtMost)
      return giveUp(
        deadline,
        before,
        `to put ${deadline.backup.version} back was begun ${startsAtMost} times in one boot, and killed each time`,
      );
    const report = { ...before, tries, starts, tryingIn: boot.bootId };
    await reported.write(report);
    note(`${report.because}: back to ${deadline.backup.version}, try ${tries} of ${triesAtMost}`);
    try {
      if (!(await hasContent(deadline.archive, deadline.backup.archive.sha256)))
        throw new Error(`${deadline.archive} has not the sha256 ${deadline.backup.archive.sha256} any more`);
      const { changed } = await putBack({ effect, host, run, note, workFolder }, deadline.backup);
      const restored = { ...report, restored: true, restoredIn: boot };
      // Where no report could be written, this is the boot after the reboot, and would otherwise not be the last one.
      const isBack = tries === 1 && starts === 1 && !changed && (await runsInstalled(host, boot));
      await keepOutcome(isBack ? ended(restored, boot) : restored);
    } catch (error) {
      if (signal.aborted) return;
      note(`try ${tries}: ${said(error)}`);
      if (tries >= triesAtMost) return giveUp(deadline, report, failed(deadline, said(error)));
      const { tryingIn: _ended, starts: _with, ...rest } = report;
      await reported.write(rest);
      await pause(pauseMs);
    }
  };

  const rebootOnce = async (before: DeadlineReport, now: Boot) => {
    if (before.reboots >= triesAtMost) {
      const because = `${before.because}; all is put back, and the board did not reboot ${triesAtMost} times`;
      note(because);
      return keepOutcome(ended({ ...before, because }, now));
    }
    const report = { ...before, reboots: before.reboots + 1, rebootAskedAt: Date.now() };
    await reported.write(report);
    note(`all is put back: reboot ${report.reboots} of at most ${triesAtMost}`);
    await reboot();
  };

  /** Goes on with one that has gone off. */
  const goOn = async (deadline: Deadline, why: string) => {
    const kept = await reported.read();
    const report = kept && isOf(kept, deadline) ? kept : await begin(deadline, why);
    if (report.over) return;
    const now = await readBoot(host);
    if (report.restored && report.restoredIn) {
      if (now.bootId === report.restoredIn.bootId) await rebootOnce(report, now);
      else await keepOutcome({ ...ended(report, now), backAt: Date.now() });
    } else if (report.tries >= triesAtMost && report.tryingIn !== now.bootId)
      await giveUp(deadline, report, failed(deadline, 'the power was cut in the last one'));
    else await tryToPutBack(deadline, report);
  };

  /** The boot in which the deadline was seen to be due. */
  let dueIn: string | undefined;
  const look = async () => {
    const armed = await readArmed(host);
    if (!armed) {
      const fired = await readFired(host);
      if (fired) await goOn(fired, `nobody confirmed ${fired.version} in time`);
      return;
    }
    const { bootId, procVersion } = await readBoot(host);
    if (bootId === armed.boot.bootId) return;
    /** Another kernel than the installed one; where nobody can tell, it is that one. */
    const isOther = () =>
      imageBanner(onBoard(host.root, host.boot.image)).then(
        (banner) => !procVersion.startsWith(banner),
        () => false,
      );
    const { seconds, boots } = await unconfirmed(seen, armed, bootId, isOther);
    const isLate = seconds >= armed.seconds;
    if (!isLate && boots <= unconfirmedBootsAtMost) return;
    dueIn = bootId;
    // What the agent, or a person, does with pacman now is let finish; it may be what confirms or rolls back.
    await createPacman(host, run).quiet();
    const other = await isOther();
    if (!(await fire(host))) return;
    // What this one lacks says nothing of the kernel that was to be confirmed.
    if (other)
      return goOn(armed, `${armed.version} ended before it was confirmed, and ${procVersion} runs since`);
    const because = isLate
      ? `nobody confirmed ${armed.version} within ${armed.seconds} s of its boot`
      : `${armed.version} booted ${boots} times and nobody confirmed it`;
    const lacks = await networkFault(host.network);
    await goOn(armed, lacks === undefined ? because : `${because}; it had no network: ${lacks}`);
  };

  const looking = createSayOnce(note);
  const telling = createSayOnce(note);
  let isTold = false;
  /** As early as can be: where the boot loader itself knows no trial, the next boot is the new kernel's until then. */
  const tellLoader = async () => {
    if (isTold) return;
    try {
      await loader.booted((await readBoot(host)).bootId);
      isTold = true;
      telling.over();
    } catch (error) {
      telling.trouble(error); // the deadline itself does not wait for that
    }
  };
  /** A root that has become read-only, say, lets nothing be begun: no other kernel than this one has that trouble. */
  const leaveKernel = async () => {
    const now = await readBoot(host);
    if (now.bootId !== dueIn || !(await runsInstalled(host, now)) || !(await bootsHeld())) return;
    note('the deadline is due and can do nothing under this kernel: reboot into the one that is held');
    await reboot();
  };
  let troubleSinceMs: number | undefined;
  while (!signal.aborted) {
    await tellLoader();
    try {
      await look();
      looking.over();
      troubleSinceMs = undefined;
    } catch (error) {
      if (signal.aborted) break;
      looking.trouble(error);
      troubleSinceMs ??= monotonicMs();
      if (monotonicMs() - troubleSinceMs >= rebootWithinMs)
        await leaveKernel().catch((failed: unknown) => looking.trouble(failed));
    }
    await pause(everyMs);
  }
};
