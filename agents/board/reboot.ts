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
import { installedVersion } from './pacman/installed.ts';

/** What is known without a trace. A variable that is still there was never looked at; what can't be read tells nothing. */
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
 * Arms the board's own deadline, lets the next boot be the new kernel's trial, reboots, and says which kernel came back. That
 * it fell back is a fact for the coordinator, not a failure here. Cut after `arm`, whatever boots next has to be confirmed;
 * cut before `trial`, what boots is the kernel that is held, and the reboot is still to come.
 */
export const reboot: Step<'reboot', BoardConfig> = async (request, context) => {
  const { effect, host, run, iteration, attempt, note } = context;
  const { backup, version, attestation } = request;
  const seconds = host.boot.confirmWithinSeconds;
  const loader = createBootLoader({ host, run, note });
  const armedIn = await effect('arm', {
    before: () => bootNow(host),
    // It may have gone off, too, where a power cut has booted the new kernel: then it is armed no more, but was.
    probe: async (before) => {
      if (!isOf((await readArmed(host)) ?? (await readFired(host)), { iteration, attempt }))
        return { happened: 'no' };
      await syncPath(host.stateFolder);
      return { happened: 'yes', result: before };
    },
    act: async (before) => {
      if (backup) {
        await arm(host, { iteration, attempt, boot: before.boot, version, seconds, backup });
        note(`unless ${version} is confirmed within ${seconds} s, the board goes back to ${backup.version}`);
      }
      return before;
    },
  });
  const since = await effect('trial', {
    before: () => bootNow(host),
    // Where the power was cut, the variable may have been taken, or never been written: what runs tells. If it is not the new
    // kernel, to try it is still to be done, at worst for the second time.
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
      await refuseFired(host, iteration); // a trial would be of what its put-back has half replaced
      await loader.requireHeld(); // a person may have been at it since the install
      // A boot since `arm` was of the kernel that is held: it was not the trial.
      const now = await bootNow(host);
      await loader.booted(now.boot.bootId); // so that the board's deadline does not end this one for an older one
      await loader.tryOnce(now.boot.bootId);
      note(`the next boot, and only that one, is of ${version}`);
      return now;
    },
  });
  // Begun late, after a cut, in the boot that the reboot is to end: the put-back must not be ended by it.
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
  await loader.booted(bootId); // the board's deadline may not run
  const runs = seen.outcome === 'new-kernel' && seen.package === version;
  return {
    ...seen,
    ...(fellBack === undefined ? {} : { fellBack }),
    ...(runs && attestation !== undefined ? { attestation } : {}),
  };
};
