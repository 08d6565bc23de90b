import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import type { Run } from '../../../host/run.ts';
import { syncPath } from '../../../host/sync-path.ts';
import type { Start, Started } from './asked.ts';

/** As long as the units themselves may take: a small board that is busy takes minutes. */
const activeWithinMs = 300_000;

const activeState = async (run: Run, unit: string): Promise<string> =>
  (await run(['systemctl', 'is-active', unit], { exitCodes: [0, 1, 3, 4], quiet: true })).stdout.trim();

/** Waits until a unit is up, or has shown that it does not come up: it is started again and again, and fails each time. */
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

/** Lets systemd read the units, starts them now and at each boot, and says what each came to. */
export const start = async (run: Run, asked: Start): Promise<z.infer<typeof Started>> => {
  await run(['systemctl', 'enable', '--quiet', '--no-reload', '--', ...asked.units]);
  await run(['systemctl', 'daemon-reload']);
  const units: z.infer<typeof Started>['units'] = [];
  for (const name of asked.units) {
    await run(['systemctl', 'reset-failed', '--', name], { exitCodes: [0, 1, 4], quiet: true });
    // Its exit code says less than what the unit then is.
    await run(['systemctl', 'restart', '--no-block', '--', name], { exitCodes: [0, 1, 4, 5] });
    await sleep(200); // the job is under way: what is-active says is no more of the process before
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
