import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { identify, type ProcessIdentity, signal } from '../../deploy/processes/process-identity.ts';
import { killTree } from '../../deploy/processes/process-tree.ts';
import { patienceMs } from '../patience.ts';

/** A place at which a daemon may be killed: its host, and its name as in `eventlog/failpoint.ts`. */
export interface Failpoint {
  host: string;
  name: string;
}
/** A daemon that has stopped at a failpoint. */
export interface Reached extends Failpoint {
  process: ProcessIdentity;
}
export type KillMode = 'alone' | 'with children';

const lookEveryMs = 10;

const pointOf = (text: string): Failpoint => {
  const space = text.indexOf(' ');
  return { host: text.slice(0, space), name: text.slice(space + 1) };
};
const textOf = ({ host, name }: Failpoint) => `${host} ${name}`;

/**
 * Makes the folder through which a test controls the failpoints of a fleet's daemons. Start the fleet with `env`.
 * @param folder is created.
 */
export const createFailpoints = async (folder: string) => {
  const [armed, reachedFolder] = [join(folder, 'armed'), join(folder, 'reached')];
  for (const each of [armed, reachedFolder]) await mkdir(each, { recursive: true });

  const arm = (host: string, name: string) => writeFile(join(armed, textOf({ host, name })), '');
  const disarm = (host: string, name: string) => rm(join(armed, textOf({ host, name })), { force: true });
  const isArmed = (point: Failpoint) => existsSync(join(armed, textOf(point)));

  /** The daemons that are stopped at a failpoint now. */
  const reached = async (): Promise<Reached[]> => {
    const found = [];
    for (const pid of await readdir(reachedFolder)) {
      const file = join(reachedFolder, pid);
      const text = await readFile(file, 'utf8');
      const process_ = identify(Number(pid));
      // The daemon of this file was killed by somebody else. An empty file is being written.
      if (!process_) await rm(file, { force: true });
      else if (text !== '') found.push({ ...pointOf(text), process: process_ });
    }
    return found;
  };

  /**
   * Waits until a daemon stops at a failpoint: at the wanted one, or at any that is armed.
   * @throws {Error} after `timeoutMs`.
   */
  const waitReached = async (wanted: Partial<Failpoint> = {}, timeoutMs = patienceMs): Promise<Reached> => {
    const until = Date.now() + timeoutMs;
    for (;;) {
      const found = (await reached()).find(
        ({ host, name }) => host === (wanted.host ?? host) && name === (wanted.name ?? name),
      );
      if (found) return found;
      if (Date.now() > until)
        throw new Error(
          `nobody came to ${[wanted.host, wanted.name].join(' ').trim() || 'a failpoint'} in ${timeoutMs} ms; armed: ${(await readdir(armed)).join(', ') || 'none'}`,
        );
      await sleep(lookEveryMs);
    }
  };

  /** Sends SIGKILL to a stopped daemon. Its children outlive it if it is killed alone. */
  const kill = async ({ process: process_ }: Reached, how: KillMode): Promise<void> => {
    // The note is removed first: the next daemon may have the same pid.
    await rm(join(reachedFolder, String(process_.pid)), { force: true });
    if (how === 'with children') killTree(process_.pid);
    else signal(process_, 'SIGKILL');
  };

  return {
    folder,
    /** The environment that the daemons need. */
    env: { KA_FAILPOINTS: folder },
    /** Every failpoint that a daemon passed, in order, with repetitions. */
    passed: async (): Promise<Failpoint[]> => {
      const text = await readFile(join(folder, 'passed'), 'utf8').catch(() => '');
      return text.split('\n').slice(0, -1).map(pointOf);
    },
    /** Makes the next daemon that comes to the point stop there. */
    arm,
    disarm,
    reached,
    waitReached,
    kill,
    /**
     * Kills at each of these points once, while something runs: arms the first, kills the daemon that stops there, arms
     * the next.
     * @param how whether a kill includes the children, at the nth point.
     * @param during settles at the end; points that are still armed are disarmed then.
     * @param armedAtOnce how many points are armed at the same time; by default all.
     * @returns the points at which a daemon was killed, in order, and those that were not met. @throws what `during`
     * throws.
     */
    killAtEach: async <Result>(
      points: readonly Failpoint[],
      how: KillMode | ((index: number) => KillMode),
      during: Promise<Result>,
      armedAtOnce = Number.POSITIVE_INFINITY,
    ): Promise<{ result: Result; killed: Failpoint[]; missed: Failpoint[] }> => {
      const killed: Failpoint[] = [];
      const left = [...points];
      const waiting = new Set<Failpoint>();
      let isOver = false;
      const over = during.finally(() => {
        isOver = true;
      });
      over.catch(() => undefined); // it is awaited below
      try {
        while (!isOver) {
          for (const point of left.splice(0, Math.max(0, armedAtOnce - waiting.size))) {
            await arm(point.host, point.name);
            waiting.add(point);
          }
          for (const found of await reached()) {
            await kill(found, typeof how === 'string' ? how : how(killed.length));
            killed.push({ host: found.host, name: found.name });
            for (const point of waiting) if (textOf(point) === textOf(found)) waiting.delete(point);
          }
          await sleep(lookEveryMs);
        }
        return { result: await over, killed, missed: [...waiting, ...left] };
      } finally {
        for (const point of waiting) if (isArmed(point)) await disarm(point.host, point.name);
      }
    },
  };
};
export type Failpoints = Awaited<ReturnType<typeof createFailpoints>>;
