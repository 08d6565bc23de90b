import type { BoardConfig } from '../../schemas/config.ts';
import type { Step } from '../runtime/step.ts';
import { bootNow, rebootBoard } from './boot.ts';
import { arm, isOf, readArmed, readFired } from './deadline/deadline.ts';
import { installedVersion } from './pacman/installed.ts';

/**
 * Arms the board's own deadline, reboots, and says which kernel came back. That it fell back is a fact for the
 * coordinator, not a failure here. Cut between the two, the deadline is armed: whatever boots next has to be confirmed.
 */
export const reboot: Step<'reboot', BoardConfig> = async (request, context) => {
  const { effect, host, iteration, attempt, note } = context;
  const { backup, version, attestation } = request;
  const seconds = host.boot.confirmWithinSeconds;
  const since = await effect('arm', {
    before: () => bootNow(host),
    // It may have gone off, too, where a power cut has booted the new kernel: then it is armed no more, but was.
    probe: async (before) =>
      isOf((await readArmed(host)) ?? (await readFired(host)), { iteration, attempt })
        ? { happened: 'yes', result: before }
        : { happened: 'no' },
    act: async (before) => {
      if (backup) {
        await arm(host, { iteration, attempt, boot: before.boot, version, seconds, backup });
        note(`unless ${version} is confirmed within ${seconds} s, the board goes back to ${backup.version}`);
      }
      return before;
    },
  });
  const seen = await rebootBoard(context, {
    release: request.release,
    installedVersion: await installedVersion(context, request.names),
    since,
  });
  const runs = seen.outcome === 'new-kernel' && seen.package === version;
  return { ...seen, ...(runs && attestation !== undefined ? { attestation } : {}) };
};
