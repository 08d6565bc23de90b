import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../host/ssh.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import { StepFailed } from '../runtime/errors.ts';
import type { Step } from '../runtime/step.ts';
import { backupFile } from './backup-archive.ts';
import { type BootBefore, readBoot, rebootBoard } from './boot.ts';
import { disarm, isDone, isOf, readFired, readReport } from './deadline/deadline.ts';
import { requireOwnBackup } from './own-backup.ts';
import { peerNamed } from './peer-named.ts';
import { putBack } from './put-back.ts';
import { hasContent } from './staged.ts';

/** How long to wait for a deadline that has gone off. It works on its own, and ends by itself or with its reboot. */
const deadlineOverWithinMs = 30 * 60_000;

/** @throws {StepFailed} (host) if the deadline that has gone off is still at work after half an hour. */
const waitForDeadline = async (host: BoardConfig, signal: AbortSignal): Promise<void> => {
  for (let waitedMs = 0; waitedMs < deadlineOverWithinMs; waitedMs += 1_000) {
    const [fired, report] = await Promise.all([readFired(host), readReport(host)]);
    const { bootId } = await readBoot(host);
    if (!fired || (report && isOf(report, fired) && isDone(report, bootId))) return;
    await sleep(1_000, undefined, { signal });
  }
  throw new StepFailed(
    'host',
    `${host.host}'s own deadline has gone off and is not done: start its daemon (deadline-main), and see deadline-report.json in ${host.stateFolder}.`,
  );
};

/**
 * The boot that the deadline's own reboot has ended, if the deadline has put back this very backup in this iteration.
 */
const endedByDeadline = async (
  host: BoardConfig,
  iteration: string,
  archiveSha256: string,
): Promise<BootBefore | undefined> => {
  const [fired, report] = await Promise.all([readFired(host), readReport(host)]);
  if (!fired || !report || !isOf(report, fired) || !report.restored || !report.restoredIn) return undefined;
  // A backup of the same system by an older iteration is the same file, so the iteration is compared too.
  if (fired.iteration !== iteration || fired.backup.archive.sha256 !== archiveSha256) return undefined;
  const { bootId } = await readBoot(host);
  return bootId === report.restoredIn.bootId
    ? undefined
    : { boot: report.restoredIn, at: report.rebootAskedAt ?? Date.now() };
};

/**
 * Brings the board back to its backup, from any state that an install or a cut leaves: packages, then boot files and
 * modules over them, then the reboot. Each part may be repeated.
 */
export const rollback: Step<'rollback', BoardConfig> = async (request, context) => {
  const { effect, host, iteration, note, signal } = context;
  const { backup } = request;
  const archive = backupFile(host, backup);
  const isHere = () => hasContent(archive, backup.archive.sha256);
  requireOwnBackup(context, backup);
  note(`back from ${request.from} to ${backup.version}: ${request.reason.code}`);

  // This comes first, so that two never put the board back at the same time.
  await effect('disarm', {
    probe: () => ({ happened: 'no' }),
    act: async () => {
      if ((await disarm(host)) === 'fired') await waitForDeadline(host, signal);
      return null;
    },
  });

  await effect('archive', {
    probe: async () => ((await isHere()) ? { happened: 'yes', result: null } : { happened: 'no' }),
    act: async () => {
      if (await isHere()) return null;
      note(`${archive} is not as it was made; ${backup.host} holds a copy`);
      await mkdir(dirname(archive), { recursive: true });
      const there = await connect(peerNamed(host, backup.host), signal);
      try {
        await there.fetch(`${backup.place}/${backup.archive.file}`, archive, backup.archive);
      } finally {
        there.close();
      }
      return null;
    },
  });

  const { installed, changed } = await putBack(context, backup);
  const rebooted = await rebootBoard(context, {
    release: backup.release,
    installedVersion: backup.version,
    since: changed ? undefined : await endedByDeadline(host, iteration, backup.archive.sha256),
  });
  return { installed, rebooted };
};
