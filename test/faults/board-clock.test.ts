import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { nodeArgv } from '../../deploy/processes/node-argv.ts';
import { isRunning, signal } from '../../deploy/processes/process-identity.ts';
import { killTree } from '../../deploy/processes/process-tree.ts';
import { boot } from '../../deploy/sandbox/power.ts';
import { createRun } from '../../host/run.ts';
import { planVariant } from '../plan-variant.ts';
import { startTestFleet, type TestFleet } from '../test-fleet.ts';
import { faultRow } from './fault-row.ts';
import { processOf, setPower } from './sandbox-faults.ts';

/** The library that fakes the time. It is preloaded into a daemon and its programs, such as gpgv and pacman. */
const liar = (() => {
  try {
    const found = execFileSync('find', ['/usr/lib', '-name', 'libfaketime.so.1'], { encoding: 'utf8' });
    execFileSync('unshare', ['--mount', 'true']);
    return found.split('\n')[0] || undefined;
  } catch {
    return undefined;
  }
})();

describe.skipIf(!liar)('a clock that is wrong by years (root and libfaketime can make it so)', () => {
  let fleet: TestFleet;
  let running: ChildProcess | undefined;

  beforeAll(async () => {
    fleet = await startTestFleet('fault-clock');
    const etc = join(fleet.folder, 'etc');
    execFileSync('cp', ['--archive', '/etc', etc]);
    await writeFile(join(etc, 'ld.so.preload'), `${liar}\n`);
  });
  afterAll(async () => {
    if (running?.pid !== undefined) killTree(running.pid);
    await fleet?.remove();
  });

  /**
   * Starts a daemon in a mount namespace whose /etc preloads the library, since a step's programs get their own
   * environment. The daemon's stopwatch is not faked: nobody can set it.
   */
  const startLate = async (clock: string, file: string, config: string) => {
    const etc = join(fleet.folder, 'etc');
    await writeFile(join(etc, 'faketimerc'), `${clock}\n`);
    const script = 'mount --bind "$0" /etc && exec "$@"';
    const argv = ['--mount', 'sh', '-c', script, etc, ...nodeArgv(file, '--config', config)];
    running = spawn('unshare', argv, {
      env: { ...process.env, FAKETIME_DONT_FAKE_MONOTONIC: '1' },
      stdio: 'ignore',
    });
  };
  const stopLate = async () => {
    if (running?.pid === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const ended = once(running, 'exit');
    killTree(running.pid);
    await ended;
  };

  let release = 1;
  const carry = async (iteration: string) => {
    const bump = `from: 7.0-${release}\n$1to: 7.0-${release + 1}`;
    release += 1;
    const plan = [[/from: 7\.0-1\n( +)to: 7\.0-2/, bump]] as const;
    const ran = await fleet.carry(await planVariant(fleet.folder, { iteration, plan }));
    expect(ran.stdout).toMatch(new RegExp(` ${iteration} CLOSED: C1 PASS, `));
    const events = await fleet.events(iteration);
    const decisions = events.map(({ event }) => `${event.source} ${event.type} ${event.attempt}`).toSorted();
    return { events, decisions };
  };
  /** The events of an iteration with the true clock. */
  let usual: string[];

  faultRow('clock-wrong', 'the board’s, ten years behind and ahead: the same decisions', async () => {
    usual = (await carry('iter5')).decisions;
    await setPower(fleet, 'fresnel', 'off');
    // The supervisor has cut the power, so this test boots the board.
    const { board } = fleet.places;
    for (const [iteration, clock, year] of [
      ['iter6', '-10y', new Date().getUTCFullYear() - 10],
      ['iter7', '+10y', new Date().getUTCFullYear() + 10],
    ] as const) {
      const start = () => startLate(clock, 'agents/main.ts', fleet.places.config('fresnel'));
      let turning: Promise<void> | undefined;
      const machine = setInterval(() => {
        if (!existsSync(board.rebootFile) || turning !== undefined) return;
        turning = stopLate()
          .then(() =>
            boot(
              createRun(() => undefined),
              fleet.places,
            ),
          )
          .then(start)
          .finally(() => {
            turning = undefined;
          });
      }, 50);
      try {
        await start();
        const { events, decisions } = await carry(iteration);
        const told = events.find(({ event }) => event.type === 'ConfirmSucceeded')?.event.time ?? '';
        expect(Math.abs(new Date(told).getUTCFullYear() - year)).toBeLessThan(2);
        expect(decisions).toEqual(usual);
      } finally {
        clearInterval(machine);
        await turning;
        await stopLate();
      }
    }
    await setPower(fleet, 'fresnel', 'on');
  });

  faultRow('clock-wrong', 'the coordinator’s, ten years behind and ahead: the same decisions', async () => {
    for (const [iteration, clock, year] of [
      ['iter8', '-10y', new Date().getUTCFullYear() - 10],
      ['iter9', '+10y', new Date().getUTCFullYear() + 10],
    ] as const) {
      const right = processOf(fleet, 'coordinator').process;
      if (!right || !isRunning(right)) throw new Error('the coordinator is down');
      signal(right, 'SIGSTOP');
      try {
        await startLate(clock, 'coordinator/main.ts', fleet.places.coordinatorConfig);
        const { events, decisions } = await carry(iteration);
        const told = events.find(({ event }) => event.type === 'IterationClosed')?.event.time ?? '';
        expect(Math.abs(new Date(told).getUTCFullYear() - year)).toBeLessThan(2);
        expect(decisions).toEqual(usual);
      } finally {
        await stopLate();
        signal(right, 'SIGCONT');
      }
    }
    const { stdout } = await fleet.ka('replay', '--check', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ mismatches: [] });
  });
});
