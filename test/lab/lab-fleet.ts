import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { approveIteration, startIteration } from '../../coordinator/commands/iteration-commands.ts';
import { openSession } from '../../coordinator/commands/session.ts';
import { reviewOf } from '../../coordinator/decider/graph.ts';
import type { Iteration } from '../../coordinator/decider/state.ts';
import { endingWords } from '../../coordinator/reading/english/reasons.ts';
import { type NextIteration, type Pkgrels, placeNextPlan } from '../../deploy/examples/lab-plans.ts';
import { labPlaces } from '../../deploy/lab/lab-places.ts';
import { sshArgv } from '../../deploy/lab/ssh-argv.ts';
import { readFacts } from '../../deploy/local-fleet/sandbox-facts.ts';
import { sandboxPlaces } from '../../deploy/places/sandbox-places.ts';
import { createRun } from '../../host/run.ts';
import { killProcess } from '../faults/sandbox-faults.ts';
import { ka, testFolder } from '../ka.ts';
import { approver } from '../test-fleet.ts';
import { type Signs, watchSigns } from './signs.ts';

const iterationWithinMs = 40 * 60_000;
const bootsWithinMs = 5 * 60_000;
/** The time that a test has for its last actions after the iteration has ended. */
const actsOnMs = bootsWithinMs + 60_000;
const pkgbuild = 'main:arch/linux-fresnel-fourier/PKGBUILD';

/** The state of the virtual board, as its owner would see it. */
export interface BoardNow {
  bootId: string;
  /** /proc/version. */
  version: string;
  /** The installed package's version. */
  installed: string;
}

/**
 * A lab that has closed `lab5`: a new one, made by `ka lab --keep`, or, for people who work on these tests, the one
 * that runs in the folder that KA_LAB names.
 */
export const startLabFleet = async () => {
  const given = process.env.KA_LAB;
  const made = await testFolder('lab');
  const folder = given ?? join(made.folder, 'fleet');
  if (given === undefined) {
    const { exitCode, stderr } = await ka(['lab', '--keep', '--json', '--dir', folder]);
    if (exitCode !== 0) throw new Error(`ka lab ended with ${exitCode}: ${stderr.slice(-3_000)}`);
  }
  const places = sandboxPlaces(folder);
  const { ports } = await readFacts(places);
  if (!ports) throw new Error(`${folder} is no lab`);
  const run = createRun(() => undefined);
  const session = await openSession(places.operatorConfig);
  const approving = await openSession(places.operatorConfig, approver);
  const lab = labPlaces(folder);

  const onBoard = async (...command: string[]): Promise<string> =>
    (await run(sshArgv(lab, ports, command), { quiet: true, timeoutMs: 120_000 })).stdout.trim();
  const [kernel] = (await session.read()).state.iterations.values();
  if (!kernel) throw new Error(`nothing was carried in ${folder} yet`);
  const { baseline, package: built } = kernel.plan;
  const pkgver = built.to.split('-')[0] ?? '';

  const board = async (): Promise<BoardNow> => {
    const [bootId = '', version = '', installed = ''] = (
      await onBoard(
        'cat /proc/sys/kernel/random/boot_id /proc/version && pacman -Q --config /etc/pacman-local.conf linux-fresnel-fourier',
      )
    ).split('\n');
    return { bootId, version, installed: installed.split(' ')[1] ?? '' };
  };
  /** The pkgrels from which the next plan starts: the PKGBUILD's in the repository, and the board's. */
  const pkgrels = async (): Promise<Pkgrels> => {
    const { stdout } = await run(
      ['git', '--git-dir', places.repository('marfrit-packages'), 'show', pkgbuild],
      { quiet: true },
    );
    const from = Number(/^pkgrel=(\d+)$/m.exec(stdout)?.[1]);
    return { from, to: from + 1, installed: Number((await board()).installed.split('-')[1]) };
  };
  const find = async (name: string): Promise<Iteration | undefined> =>
    (await session.read().catch(() => undefined))?.state.iterations.get(name);

  return {
    places,
    session,
    onBoard,
    board,
    /** The package's version with this pkgrel: `6.1.192-7`. */
    version: (pkgrel: number) => `${pkgver}-${pkgrel}`,
    /** Pulls the board's plug, gives the power back, and waits until it answers. @throws {Error} after five minutes. */
    cutPower: async (): Promise<BoardNow> => {
      await killProcess({ places }, 'fresnel');
      for (const until = Date.now() + bootsWithinMs; ; await sleep(1_000)) {
        const now = await board().catch(() => undefined);
        if (now) return now;
        if (Date.now() > until)
          throw new Error(`the board did not boot within ${bootsWithinMs / 1000} s; see ${lab.consoleLog}`);
      }
    },
    /**
     * Carries an iteration on top of the present state to its end; everybody who is asked approves.
     * @param during the test's actions meanwhile.
     */
    carry: async (
      what: NextIteration,
      during: (signs: Signs, name: string) => Promise<void> = async () => undefined,
    ): Promise<{ iteration: Iteration; pkgrels: Pkgrels }> => {
      const rels = await pkgrels();
      const name = `${what.replaceAll('-', '')}${rels.to}`;
      const plan = await placeNextPlan(join(made.folder, name), what, {
        iteration: name,
        baseline: { version: pkgver, commit: baseline.commit },
        pkgrels: rels,
      });
      const signs = await watchSigns(session, name, lab.consoleLog);
      let over = false;
      try {
        await startIteration(session, plan);
        const until = Date.now() + iterationWithinMs;
        const ended = async (): Promise<Iteration> => {
          let approved = false;
          for (; !over; await sleep(500)) {
            const iteration = await find(name);
            if (iteration?.ended) return iteration;
            if (iteration && !approved && (reviewOf(iteration)?.missing.length ?? 0) > 0) {
              approved = true;
              await approveIteration(approving, name, 'read it');
            }
            if (Date.now() > until)
              throw new Error(`${name} did not end in ${iterationWithinMs / 60_000} min; ${signs.last()}`);
          }
          throw new Error(`nobody waits for ${name} any more`);
        };
        const acting = during(signs, name);
        acting.catch(() => undefined); // it is awaited below, unless the iteration fails first
        // The test's actions may fail first, and are the cause then.
        const iteration = await Promise.race([
          ended(),
          acting.then(() => new Promise<never>(() => undefined)),
        ]);
        const tooLate = sleep(actsOnMs, undefined, { ref: false }).then(() => {
          throw new Error(
            `${name} ended while the test still waited (${iteration.ended && endingWords(iteration.ended)}); the last signs were\n${signs.last()}`,
          );
        });
        await Promise.race([acting, tooLate]);
        return { iteration, pkgrels: rels };
      } finally {
        over = true;
        await signs.stop();
      }
    },
    down: async () => {
      await session.close();
      await approving.close();
      if (given === undefined) await ka(['lab', 'destroy', '--dir', folder]);
      await made.remove();
    },
  };
};
export type LabFleet = Awaited<ReturnType<typeof startLabFleet>>;
