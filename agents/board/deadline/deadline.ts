import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { moveDurably, readDurable, writeDurably } from '../../../host/durable-file.ts';
import { syncPath } from '../../../host/sync-path.ts';
import { Boot } from '../../../schemas/boot.ts';
import type { BoardConfig } from '../../../schemas/config.ts';
import { steps } from '../../../schemas/steps.ts';
import { StepFailed } from '../../runtime/errors.ts';
import { backupFile } from '../backup-archive.ts';
import { hasContent } from '../staged.ts';

/**
 * A deadline: unless somebody confirms the kernel that boots next, the board goes back to its backup on its own. It is
 * a file with one of three names, and its name changes in one step:
 *
 *     deadline.json → deadline-disarmed.json    the agent called it off
 *                   → deadline-fired.json       it has gone off; deadline-report.json holds the result
 *
 * So it is called off or goes off, never both, and goes off at most once.
 */
export const Deadline = z.object({
  iteration: z.string(),
  /** The attempt of the reboot step that armed it. */
  attempt: z.int().min(1),
  /** The boot in which it was armed. The deadline applies to any later boot. */
  boot: Boot,
  /** The package's version that is to be confirmed. */
  version: z.string(),
  /** How long a boot may go unconfirmed. */
  seconds: z.int().min(1),
  /** The archive's file here, absolute; its sha256 is the backup's. */
  archive: z.string(),
  backup: steps.rollback.request.shape.backup,
});
export type Deadline = z.infer<typeof Deadline>;

/** The result of a deadline that has gone off. */
export const DeadlineReport = z.object({
  iteration: z.string(),
  attempt: z.int().min(1),
  because: z.string(),
  /** The boot that nobody confirmed. */
  unconfirmed: Boot,
  /** How often a put-back was begun, and how often the reboot was requested. */
  tries: z.int().min(0),
  reboots: z.int().min(0),
  /** The boot id of the try that is under way, or was when the power was cut. */
  tryingIn: z.string().optional(),
  /** How often that try was started in that boot. Each start but the last was killed. */
  starts: z.int().min(1).optional(),
  /** null while the put-back is under way; false once it was given up. */
  restored: z.boolean().nullable(),
  /** The boot in which all was put back. */
  restoredIn: Boot.optional(),
  /** When the reboot was requested, and when it had happened: milliseconds since 1970, by the board's own clock. */
  rebootAskedAt: z.number().optional(),
  backAt: z.number().optional(),
  /** It does nothing more. */
  over: z.boolean(),
  /** The boot in which it was first seen to be over. */
  overIn: Boot.optional(),
});
export type DeadlineReport = z.infer<typeof DeadlineReport>;

type Host = Pick<BoardConfig, 'stateFolder'>;
type Attempt = Pick<Deadline, 'iteration' | 'attempt'>;
const placeOf = ({ stateFolder }: Host, name: '' | '-disarmed' | '-fired' | '-report' | '-seen'): string =>
  join(stateFolder, `deadline${name}.json`);

export const isOf = (found: Attempt | undefined, { iteration, attempt }: Attempt): boolean =>
  found?.iteration === iteration && found.attempt === attempt;

/** Whether the deadline does nothing more: the report says so, or its final reboot has happened. */
export const isDone = ({ over, restored, restoredIn }: DeadlineReport, bootId: string): boolean =>
  over || (restored === true && restoredIn !== undefined && restoredIn.bootId !== bootId);

/** The deadline that is armed now. @throws {Error} if its file is damaged. */
export const readArmed = (host: Host) => readDurable(placeOf(host, ''), Deadline);
/** The one that was called off last. */
export const readDisarmed = (host: Host) => readDurable(placeOf(host, '-disarmed'), Deadline);
/** The one that went off last. */
export const readFired = (host: Host) => readDurable(placeOf(host, '-fired'), Deadline);
export const readReport = (host: Host) => readDurable(reportFile(host), DeadlineReport);
/** Where the result is kept. The watch writes it, and the agent does once it is over. */
export const reportFile = (host: Host): string => placeOf(host, '-report');
/** Where the watch keeps which boot it has seen since when. */
export const seenFile = (host: Host): string => placeOf(host, '-seen');

/**
 * Arms a deadline in place of any other. It is on the disk when this returns.
 * @throws {StepFailed} (host) if the archive that it would go back to is not here, or the last deadline is still at
 * work.
 */
export const arm = async (host: Host, deadline: Omit<Deadline, 'archive'>): Promise<void> => {
  const { backup } = deadline;
  const archive = backupFile(host, backup);
  if (!(await hasContent(archive, backup.archive.sha256)))
    throw new StepFailed(
      'host',
      `${archive} is not there with the sha256 ${backup.archive.sha256}: the board could not go back on its own; make the backup again before the reboot.`,
    );
  const [fired, report] = await Promise.all([readFired(host), readReport(host)]);
  if (fired && !(report && isOf(report, fired) && isDone(report, deadline.boot.bootId)))
    throw new StepFailed(
      'host',
      `the deadline of ${fired.iteration} has gone off and is not done: wait until it is, or look at deadline-report.json in ${host.stateFolder}.`,
    );
  for (const name of ['-fired', '-report', '-disarmed', '-seen'] as const)
    await rm(placeOf(host, name), { force: true });
  // Otherwise a power cut could bring the old ones back beside the new one.
  await syncPath(dirname(placeOf(host, '')));
  await writeDurably(placeOf(host, ''), { ...deadline, archive } satisfies Deadline);
};

/** @throws {StepFailed} (host) if the iteration's deadline has gone off: then the board goes back on its own. */
export const refuseFired = async (
  host: Pick<BoardConfig, 'host' | 'stateFolder'>,
  iteration: string,
): Promise<void> => {
  const fired = await readFired(host);
  if (fired?.iteration === iteration)
    throw new StepFailed(
      'host',
      `nobody confirmed ${fired.version} within ${fired.seconds} s: the board's own deadline has gone off, and ${host.host} goes back to ${fired.backup.version}.`,
    );
};

/** Where the watch unpacks the backup that it puts back. */
export const deadlineWorkFolder = ({ stateFolder }: Host): string => join(stateFolder, 'deadline-work');

/** The report of a deadline that does nothing more from this boot on. */
export const ended = (report: DeadlineReport, overIn: Boot): DeadlineReport => ({
  ...report,
  over: true,
  overIn,
});

/** Calls off the deadline that is armed. */
export const disarm = async (host: Host): Promise<'disarmed' | 'fired' | 'none'> => {
  if (await moveDurably(placeOf(host, ''), placeOf(host, '-disarmed'))) return 'disarmed';
  return (await readFired(host)) ? 'fired' : 'none';
};

/** Marks the armed deadline as gone off. @returns false if it was called off in the meantime. */
export const fire = (host: Host): Promise<boolean> => moveDurably(placeOf(host, ''), placeOf(host, '-fired'));
