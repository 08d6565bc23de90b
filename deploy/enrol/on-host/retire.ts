import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { z } from 'zod';
import type { Run } from '../../../agents/runtime/run.ts';
import type { Retire, Retired } from './asked.ts';
import { findOwner } from './owner.ts';

/** What a host would leave undone. */
export const OpenWork = z.object({
  /** The deadline that would put an unconfirmed kernel away, or is at it. */
  deadline: z.string().nullable(),
  attempts: z.array(z.string()),
  unsent: z.int(),
});

const whyNot = async (run: Run, argv: readonly string[]): Promise<string | null> => {
  const file = argv.find((word) => word.endsWith('.mjs'));
  if (file === undefined || !existsSync(file)) return null; // nothing was installed, or it was taken away before
  const { stdout } = await run(argv, { quiet: true });
  const { deadline, attempts, unsent } = OpenWork.parse(JSON.parse(stdout));
  if (deadline !== null)
    return `${deadline}: wait until the iteration has confirmed or rolled back; without its agent nobody would put the old kernel back`;
  if (attempts.length > 0)
    return `it is at ${attempts.join(', ')}: wait until that is done, or abort the iteration (ka abort)`;
  if (unsent > 0)
    return `${unsent} of its events have not reached the log: wait until nats-server can be reached from it`;
  return null;
};

/** Takes the agent off this host. What was done before a cut is not done again. */
export const retire = async (
  run: Run,
  asked: Retire,
  say: (line: string) => void,
): Promise<z.infer<typeof Retired>> => {
  const did: string[] = [];
  const step = async (what: string, act: () => Promise<unknown>) => {
    did.push(what);
    say(what);
    if (!asked.dryRun) await act();
  };
  const refused = asked.force ? null : await whyNot(run, asked.openWork);
  if (refused !== null) return { refused, did };
  for (const unit of asked.units) {
    const { stdout } = await run(['systemctl', 'show', '--property=LoadState', '--value', unit], {
      quiet: true,
    });
    if (stdout.trim() !== 'loaded') continue;
    await step(`stop and disable ${unit}`, () =>
      run(['systemctl', 'disable', '--now', '--quiet', '--', unit]),
    );
  }
  for (const path of asked.remove)
    if (existsSync(path)) await step(`remove ${path}`, () => rm(path, { recursive: true, force: true }));
  const { user } = asked;
  if (user !== null && (await findOwner(run, user)))
    await step(`remove the user ${user}`, () => run(['userdel', '--', user]));
  if (did.length > 0 && !asked.dryRun) await run(['systemctl', 'daemon-reload']);
  return { refused: null, did };
};
