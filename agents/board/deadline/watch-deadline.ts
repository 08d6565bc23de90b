import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { BoardConfig } from '../../../schemas/config.ts';
import { withoutJournal } from '../../runtime/effects.ts';
import type { Run } from '../../runtime/run.ts';
import { readBoot } from '../boot.ts';
import { createPacman } from '../pacman/pacman.ts';
import { putBack } from '../put-back.ts';
import { hasContent } from '../staged.ts';
import {
  type Deadline,
  type DeadlineReport,
  fire,
  isOf,
  readArmed,
  readFired,
  readReport,
  seenFile,
  writeReport,
} from './deadline.ts';
import { readDurable, writeDurably } from './durable-file.ts';

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
/** More boots than that without a confirmation: the kernel does not even stay up until the deadline. */
const unconfirmedBootsAtMost = 3;

const Seen = z.object({
  iteration: z.string(),
  attempt: z.int(),
  /** The boots that came up unconfirmed; the last is the present one. */
  boots: z.array(z.string()).min(1),
  /** When the last of them was seen first, by the kernel's clock that nobody sets (CLOCK_MONOTONIC), in milliseconds. */
  sinceMs: z.number(),
});

/** That clock runs on over a restart of this process, and begins anew at each boot. */
const monotonicMs = (): number => Number(process.hrtime.bigint() / 1_000_000n);

/** For how long this boot has gone unconfirmed, and which one it is. The first look at it is kept on the disk. */
const unconfirmed = async (host: BoardConfig, { iteration, attempt }: Deadline, bootId: string) => {
  const file = seenFile(host);
  const kept = await readDurable(file, Seen).catch(() => undefined); // a damaged one only makes it count anew
  const boots = kept && isOf(kept, { iteration, attempt }) ? kept.boots : [];
  const now = monotonicMs();
  if (kept && boots.at(-1) === bootId && kept.sinceMs <= now)
    return { seconds: (now - kept.sinceMs) / 1000, boots: boots.length };
  const seen = {
    iteration,
    attempt,
    boots: [...boots.filter((one) => one !== bootId), bootId],
    sinceMs: now,
  };
  await writeDurably(file, seen);
  return { seconds: 0, boots: seen.boots.length };
};

const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Watches the armed deadline until `signal` fires. It asks nobody and needs no network. A kernel that is not confirmed
 * in time goes away: the backup is put back, at most three times, then the board reboots, at most three times. What it
 * does is in its report before it does it, so that a power cut anywhere lets it go on from there and never begin anew.
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

  const tryToPutBack = async (deadline: Deadline, before: DeadlineReport): Promise<void> => {
    const boot = await readBoot(host);
    // A power cut ends a try; this process, started again in the same boot, goes on with the one that it has begun.
    const isBegun = before.tryingIn === boot.bootId;
    const report = isBegun ? before : { ...before, tries: before.tries + 1, tryingIn: boot.bootId };
    if (!isBegun) await writeReport(host, report);
    note(`${report.because}: back to ${deadline.backup.version}, try ${report.tries} of ${triesAtMost}`);
    try {
      if (!(await hasContent(deadline.archive, deadline.backup.archive.sha256)))
        throw new Error(`${deadline.archive} has not the sha256 ${deadline.backup.archive.sha256} any more`);
      const workFolder = `${host.stateFolder}/deadline-work`;
      await putBack({ effect: withoutJournal, host, run, note, workFolder }, deadline.backup);
      await writeReport(host, { ...report, restored: true, restoredIn: boot });
    } catch (error) {
      if (signal.aborted) return;
      note(`try ${report.tries}: ${said(error)}`);
      if (report.tries >= triesAtMost) return giveUp(deadline, report, said(error));
      const { tryingIn: _ended, ...rest } = report;
      await writeReport(host, rest);
      await pause(pauseMs);
    }
  };

  const giveUp = (deadline: Deadline, report: DeadlineReport, why: string) => {
    const because = `${report.because}; ${triesAtMost} tries to put ${deadline.backup.version} back failed: ${why}`;
    note(`given up, the board stays as it is: ${because}`);
    return writeReport(host, { ...report, because, restored: false, over: true });
  };

  const rebootOnce = async (before: DeadlineReport) => {
    if (before.reboots >= triesAtMost) {
      const because = `${before.because}; all is put back, and the board did not reboot ${triesAtMost} times`;
      note(because);
      return writeReport(host, { ...before, because, over: true });
    }
    const report = { ...before, reboots: before.reboots + 1, rebootAskedAt: Date.now() };
    await writeReport(host, report);
    note(`all is put back: reboot ${report.reboots} of at most ${triesAtMost}`);
    await run(host.boot.rebootCommand, { outlive: true });
    await pause(rebootWithinMs);
  };

  /** Goes on with one that has gone off. */
  const goOn = async (deadline: Deadline, why: string) => {
    const kept = await readReport(host);
    const report = kept && isOf(kept, deadline) ? kept : await begin(deadline, why);
    if (report.over) return;
    if (report.restored && report.restoredIn) {
      const { bootId } = await readBoot(host);
      if (bootId === report.restoredIn.bootId) await rebootOnce(report);
      else await writeReport(host, { ...report, over: true, backAt: Date.now() });
    } else if (report.tries >= triesAtMost && report.tryingIn !== (await readBoot(host)).bootId)
      await giveUp(deadline, report, 'the power was cut in the last one');
    else await tryToPutBack(deadline, report);
  };

  const look = async () => {
    const armed = await readArmed(host);
    if (!armed) {
      const fired = await readFired(host);
      if (fired) await goOn(fired, `nobody confirmed ${fired.version} in time`);
      return;
    }
    const { bootId } = await readBoot(host);
    if (bootId === armed.boot.bootId) return;
    const { seconds, boots } = await unconfirmed(host, armed, bootId);
    const isLate = seconds >= armed.seconds;
    if (!isLate && boots <= unconfirmedBootsAtMost) return;
    // What the agent, or a person, does with pacman now is let finish; it may be what confirms or rolls back.
    await createPacman(host, run).quiet();
    if (!(await fire(host))) return;
    const because = isLate
      ? `nobody confirmed ${armed.version} within ${armed.seconds} s of its boot`
      : `${armed.version} booted ${boots} times and nobody confirmed it`;
    await goOn(armed, because);
  };

  let told: string | undefined;
  while (!signal.aborted) {
    try {
      await look();
      told = undefined;
    } catch (error) {
      if (!signal.aborted && said(error) !== told) note(said(error));
      told = said(error);
    }
    await pause(everyMs);
  }
};
