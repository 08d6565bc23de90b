import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect } from 'vitest';
import { forwardSteps } from '../../coordinator/decider/graph.ts';
import { stepNames } from '../../schemas/step-names.ts';
import type { KaRan } from '../ka.ts';
import { planVariant } from '../plan-variant.ts';
import type { TestFleet } from '../test-fleet.ts';
import { failpointsOf, isMidway } from './every-failpoint.ts';
import { startFailpointFleet } from './failpoint-fleet.ts';
import type { Failpoint, KillMode } from './failpoints.ts';

const countLines = (text: string, pattern: RegExp) =>
  text.split('\n').filter((line) => pattern.test(line)).length;

/** Counts how often each effect has happened in the world, not in our own records. */
const countWorld = async ({ places }: TestFleet) => {
  const commits = async (name: string) =>
    Number(
      (await execa('git', ['--git-dir', places.repository(name), 'rev-list', '--count', 'main'])).stdout,
    );
  const views = await readdir(join(places.packageRepository, 'views'));
  const current = join(places.packageRepository, 'current');
  const served = await readdir(current);
  const log = await readFile(places.board.log, 'utf8');
  const database = await execa('bsdtar', [
    '-tf',
    join(current, served.find((file) => file.endsWith('.db')) ?? ''),
  ]);
  return {
    commits: {
      manifest: await commits('kernel-agent'),
      packages: await commits('marfrit-packages'),
      campaign: await commits('campaign'),
    },
    views: views.length,
    signatures: served.filter((file) => file.endsWith('.pkg.tar.zst.sig')).length,
    entries: countLines(database.stdout, /\/desc$/),
    upgraded: countLines(log, /\[ALPM\] upgraded /),
    downgraded: countLines(log, /\[ALPM\] downgraded /),
    otherwise: countLines(log, /\[ALPM\] (reinstalled|removed) /),
    boots: countLines(await readFile(places.board.bootsFile, 'utf8'), /Linux version/),
    backups: (await readdir(places.shared, { recursive: true })).filter((file) =>
      /^fresnel\/.*\.zst$/.test(file),
    ).length,
  };
};

type World = Awaited<ReturnType<typeof countWorld>>;

/** Every failpoint on the way from plan to close, and back. */
const known = new Set(
  // Checkpoints follow only after the iteration has ended, and so are not included.
  failpointsOf(stepNames, [
    'IterationAccepted',
    'ReviewRequested',
    'IterationClosed',
    'IterationFailed',
    'Checkpointed',
  ]).map(({ name }) => name),
);

/**
 * Carries an iteration in its own fleet, in which a daemon is killed with SIGKILL at each of the failpoints as it comes
 * there. Checks that each fact is in the log once.
 * @returns ka's result, the world before and after, and the points that were not met.
 */
const carryKillingAt = async (
  name: string,
  points: readonly Failpoint[],
  how: KillMode,
  planFile: (fleet: TestFleet) => Promise<string>,
): Promise<{ ran: KaRan; spared: Failpoint[]; before: World; after: World }> => {
  const { fleet, points: failpoints } = await startFailpointFleet(name);
  try {
    const before = await countWorld(fleet);
    const plan = await planFile(fleet);
    const { result: ran, missed } = await failpoints.killAtEach(points, how, fleet.carry(plan));
    const told = (await fleet.events('iter5')).flatMap(({ event }) => (event.kind === 'step' ? [event] : []));
    const outcomes = told
      .filter(({ fact }) => fact === 'Succeeded' || fact === 'Failed')
      .map(({ step, attempt }) => `${step} ${attempt}`);
    expect(new Set(outcomes).size, 'each attempt has one outcome').toBe(outcomes.length);
    expect(
      told.filter(({ fact }) => fact === 'Failed' || fact === 'Superseded').map(({ type }) => type),
      'nothing fails, and nothing is asked for twice',
    ).toEqual([]);
    expect((await fleet.ka('replay', '--check')).exitCode).toBe(0);
    const passed = new Set((await failpoints.passed()).map(({ name }) => name));
    expect(
      [...passed].filter((name) => !known.has(name)),
      'no failpoint is left out of the list',
    ).toEqual([]);
    // The middle of an effect that runs no program is never met.
    const spared = missed.filter((point) => passed.has(point.name) || !isMidway(point));
    return { ran, spared, before, after: await countWorld(fleet) };
  } finally {
    await fleet.remove();
  }
};

/** Every failpoint on the way from plan to close, in two parts: a kill in the middle of an effect may hide others. */
const points = failpointsOf(forwardSteps, ['IterationAccepted', 'ReviewRequested', 'IterationClosed']);
const around = points.filter((point) => !isMidway(point));
export const aroundOnBoard = around.filter(({ host }) => host === 'fresnel');
export const aroundElsewhere = around.filter(({ host }) => host !== 'fresnel');
export const midway = points.filter(isMidway);

/**
 * An effect can still happen after a kill in its middle: then its next place is not met in this round, but in a later
 * one.
 */
const rounds = 4;

/**
 * Carries iterations, each in a fresh fleet, until a daemon was killed at each of the points, and checks each time.
 * @throws if a point is not met in any round.
 */
export const killAtAll = async (
  name: string,
  points: readonly Failpoint[],
  how: KillMode,
  planFile: (fleet: TestFleet) => Promise<string>,
  check: (carried: { ran: KaRan; before: World; after: World }) => void,
): Promise<void> => {
  let left = points;
  for (let round = 1; round <= rounds && left.length > 0; round += 1) {
    const { spared, ...carried } = await carryKillingAt(`${name}-${round}`, left, how, planFile);
    check(carried);
    left = spared;
  }
  expect(left, 'every failpoint is met, and somebody killed there').toEqual([]);
};

/**
 * The body of a test: carries iteration 5 from plan to close with kills at these points, and checks its effects in the
 * world.
 */
export const closesKilledAt =
  (name: string, points: readonly Failpoint[], how: KillMode) => (): Promise<void> =>
    killAtAll(
      name,
      points,
      how,
      ({ folder }) => planVariant(folder, { iteration: 'iter5' }),
      ({ ran, before, after }) => {
        expect(ran.stdout).toMatch(/ iter5 CLOSED: C1 PASS, /);
        expect(ran.exitCode).toBe(0);
        expect(after).toEqual({
          commits: {
            manifest: before.commits.manifest + 1,
            packages: before.commits.packages + 1,
            campaign: before.commits.campaign + 1,
          },
          views: before.views + 1,
          signatures: before.signatures + 2,
          entries: before.entries,
          upgraded: before.upgraded + 2,
          downgraded: before.downgraded,
          otherwise: before.otherwise,
          boots: before.boots + 1,
          backups: before.backups + 1,
        });
      },
    );
