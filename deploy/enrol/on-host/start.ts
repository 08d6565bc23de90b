import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import type { Run } from '../../../host/run.ts';
import { syncPath } from '../../../host/sync-path.ts';
import type { Start, Started } from './asked.ts';

/** The units' own time limit for their start: a small busy board takes minutes. */
const activeWithinMs = 300_000;

const activeState = async (run: Run, unit: string): Promise<string> =>
  (await run(['systemctl', 'is-active', unit], { exitCodes: [0, 1, 3, 4], quiet: true })).stdout.trim();

/** Waits until a unit is up, or keeps failing after restarts. @returns its state. */
const settle = async (run: Run, unit: string): Promise<string> => {
  for (const until = performance.now() + activeWithinMs; ; ) {
    const state = await activeState(run, unit);
    if (state === 'active' || state === 'failed' || performance.now() > until) return state;
    const { stdout } = await run(['systemctl', 'show', '--property=NRestarts', '--value', unit], {
      quiet: true,
    });
    if (Number(stdout.trim()) >= 2) return state;
    await sleep(250);
  }
};

/** Lets systemd read the units, enables and starts them, and returns the state of each. */
export const start = async (run: Run, asked: Start): Promise<z.infer<typeof Started>> => {
  await run(['systemctl', 'enable', '--quiet', '--no-reload', '--', ...asked.units]);
  await run(['systemctl', 'daemon-reload']);
  const units: z.infer<typeof Started>['units'] = [];
  for (const name of asked.units) {
    await run(['systemctl', 'reset-failed', '--', name], { exitCodes: [0, 1, 4], quiet: true });
    // The unit's state afterwards shows more than this exit code.
    await run(['systemctl', 'restart', '--no-block', '--', name], { exitCodes: [0, 1, 4, 5] });
    await sleep(200); // by now the job has begun, so that is-active no longer describes the process before
    const active = await settle(run, name);
    const says =
      active === 'active'
        ? []
        : (
            await run(
              [
                'journalctl',
                '--no-pager',
                '--quiet',
                '--boot',
                '--output=cat',
                '--lines=15',
                `--unit=${name}`,
              ],
              { exitCodes: [0, 1], quiet: true },
            )
          ).stdout
            .trim()
            .split('\n');
    units.push({ name, active, says });
  }
  if (units.every(({ active }) => active === 'active')) {
    const { folder, keep } = asked.builds;
    for (const entry of await readdir(folder, { withFileTypes: true }))
      if (entry.isDirectory() && keep?.includes(entry.name) === false)
        await rm(join(folder, entry.name), { recursive: true, force: true });
    await rm(asked.places.owedFile, { force: true });
    await syncPath(dirname(asked.places.owedFile));
  }
  return { units };
};
