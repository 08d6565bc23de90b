import { syncPath } from '../../host/sync-path.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import { StepFailed } from '../runtime/errors.ts';
import type { Step } from '../runtime/step.ts';
import { onBoard } from './board-root.ts';
import { imageBanner, readBoot } from './boot.ts';
import { createBootLoader } from './boot-loader/create-boot-loader.ts';
import { disarm, readDisarmed, refuseFired } from './deadline/deadline.ts';
import { installedVersion } from './pacman/installed.ts';

/**
 * Confirms the running, verified kernel: it boots by default from now on, then the board's own deadline is called off.
 * After a cut in between, the new kernel boots and still has to be confirmed; after an earlier cut, the held kernel
 * boots, and there is nothing to confirm.
 */
export const confirm: Step<'confirm', BoardConfig> = async (request, context) => {
  const { effect, host, run, iteration, note } = context;
  const loader = createBootLoader({ host, run, note });
  const { names, version, release } = request;

  /** @throws {StepFailed} (host) if the running kernel is not the verified one. */
  const verified = async () => {
    await refuseFired(host, iteration);
    const installed = await installedVersion(context, names);
    if (installed !== version)
      throw new StepFailed('host', `${installed} is installed on ${host.host}, not ${version}.`);
    const boot = await readBoot(host);
    const banner = await imageBanner(onBoard(host.root, host.boot.image));
    if (boot.release !== release || !boot.procVersion.startsWith(banner))
      throw new StepFailed(
        'host',
        `${host.host} runs ${boot.procVersion}, and the image of ${version} is ${banner}: another kernel has booted since it was verified.`,
      );
    return boot;
  };

  // This is checked before anything is called off: a cut up to here leaves the deadline armed.
  const boot = await verified();
  await effect('settle', {
    probe: async () => {
      if (!(await loader.isSettled())) return { happened: 'no' };
      await loader.flushed();
      return { happened: 'yes', result: null };
    },
    act: async () => {
      // Its put-back needs the held kernel. A deadline that goes off later holds the running one.
      await refuseFired(host, iteration);
      await loader.settle();
      return null;
    },
  });
  const deadline = await effect('disarm', {
    probe: async () => {
      if ((await readDisarmed(host))?.iteration !== iteration) return { happened: 'no' };
      await syncPath(host.stateFolder);
      return { happened: 'yes', result: 'disarmed' as const };
    },
    act: async () => {
      const found = await disarm(host);
      if (found !== 'fired') return found;
      await verified();
      return 'none' as const; // it belonged to another iteration, and is over
    },
  });
  note(deadline === 'disarmed' ? `${version} stays: the deadline is called off` : 'no deadline was armed');
  return { version, boot, deadline };
};
