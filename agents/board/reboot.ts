import { syncPath } from '../../host/sync-path.ts';
import type { FellBack } from '../../schemas/boot.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { Opened } from '../../schemas/open.ts';
import type { StepEvidence } from '../../schemas/steps.ts';
import type { Step } from '../runtime/step.ts';
import { bootNow, readBoot, rebootBoard, runsInstalled } from './boot.ts';
import type { BootLoader } from './boot-loader/boot-loader.ts';
import { createBootLoader } from './boot-loader/create-boot-loader.ts';
import { arm, isOf, readArmed, readFired, readReport, refuseFired } from './deadline/deadline.ts';
import { requireOwnBackup } from './own-backup.ts';
import { installedVersion } from './pacman/installed.ts';

/**
 * How the new kernel fell back. If the trial is still set, the boot loader never looked at it. If the deadline went off
 * under the new kernel, the deadline ended it. What can't be read is ignored.
 */
const howItFellBack = async (
  host: BoardConfig,
  loader: BootLoader,
  attempt: Parameters<typeof isOf>[1],
  { after, imageBanner, fellBack }: StepEvidence<'reboot'>,
): Promise<Opened<FellBack> | undefined> => {
  if (loader.triesOnce && (await loader.isTrying(after.bootId).catch(() => false)))
    return { how: 'unknown', says: 'the boot loader never took the trial' };
  const report = await readReport(host).catch(() => undefined);
  return isOf(report, attempt) && report?.unconfirmed.procVersion.startsWith(imageBanner)
    ? { how: 'deadline', says: report.because }
    : fellBack;
};

/**
 * Arms the board's own deadline, makes the next boot the new kernel's trial, reboots, and returns which kernel came
 * back. A fall-back is a fact for the coordinator, not a failure here. After a cut after `arm`, whatever boots next has
 * to be confirmed. After a cut before `trial`, the held kernel boots, and the reboot is still to come.
 */
export const reboot: Step<'reboot', BoardConfig> = async (request, context) => {
  const { effect, host, run, iteration, attempt, note } = context;
  const { backup, version, attestation } = request;
  requireOwnBackup(context, backup);
  const seconds = host.boot.confirmWithinSeconds;
  const loader = createBootLoader({ host, run, note });
  const armedIn = await effect('arm', {
    before: () => bootNow(host),
    // After a power cut that booted the new kernel, the deadline may have gone off already: it counts as armed then,
    // too.
    probe: async (before) => {
      if (!isOf((await readArmed(host)) ?? (await readFired(host)), { iteration, attempt }))
        return { happened: 'no' };
      await syncPath(host.stateFolder);
      return { happened: 'yes', result: before };
    },
    act: async (before) => {
      await arm(host, { iteration, attempt, boot: before.boot, version, seconds, backup });
      note(`unless ${version} is confirmed within ${seconds} s, the board goes back to ${backup.version}`);
      return before;
    },
  });
  const since = await effect('trial', {
    before: () => bootNow(host),
    // After a power cut, the trial may have been used up or never been written: the running kernel tells. If it is not
    // the new one, the trial is still to be done, at worst for the second time.
    probe: async (before) => {
      if (!loader.triesOnce) return { happened: 'yes', result: armedIn };
      const now = await readBoot(host);
      const isTried =
        now.bootId === before.boot.bootId
          ? await loader.isTrying(now.bootId)
          : await runsInstalled(host, now);
      return isTried ? { happened: 'yes', result: before } : { happened: 'no' };
    },
    act: async () => {
      if (!loader.triesOnce) return armedIn;
      await refuseFired(host, iteration); // a trial would boot what its put-back has half replaced
      await loader.requireHeld(); // a person may have changed it since the install
      // A boot since `arm` ran the held kernel: it was not the trial.
      const now = await bootNow(host);
      // Otherwise the board's deadline would take this trial for an older one and end it.
      await loader.booted(now.boot.bootId);
      await loader.tryOnce(now.boot.bootId);
      note(`the next boot, and only that one, is of ${version}`);
      return now;
    },
  });
  // If this goes on late, after a cut, in the boot that the reboot is to end, a put-back may be running: the reboot
  // must not end it.
  if ((await readBoot(host)).bootId === since.boot.bootId) await refuseFired(host, iteration);
  const seen = await rebootBoard(context, {
    release: request.release,
    installedVersion: await installedVersion(context, request.names),
    since,
  });
  const { bootId } = seen.after;
  const fellBack =
    seen.outcome === 'fell-back'
      ? await howItFellBack(host, loader, { iteration, attempt }, seen)
      : undefined;
  await loader.booted(bootId); // in case the board's deadline is not running
  const runs = seen.outcome === 'new-kernel' && seen.package === version;
  return {
    ...seen,
    ...(fellBack === undefined ? {} : { fellBack }),
    ...(runs && attestation !== undefined ? { attestation } : {}),
  };
};
