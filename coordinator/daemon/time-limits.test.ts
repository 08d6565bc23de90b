import { expect, it } from 'vitest';
import { exampleFleet, examplePlan } from '../testing/example-plan.ts';
import {
  abort,
  did,
  type Happening,
  historyOf,
  started,
  succeeded,
  timedOut,
  until,
} from '../testing/history.ts';
import { overdue } from './time-limits.ts';

const settled: Happening = (history) => history.settle();
const begun = [started(), succeeded('keycheck')];
/** When the request was seen, by the coordinator's stopwatch. */
const asked = 1000;

/** What is overdue this many seconds after the request, with hosts last heard at these seconds after it. */
const after = (
  seconds: number,
  { heard = seconds, ...options }: { heard?: number; happenings?: Happening[] } = {},
) =>
  overdue(historyOf(...(options.happenings ?? [...begun, settled])).state, {
    now: asked + seconds * 1000,
    fleet: exampleFleet,
    lastSeen: () => asked + heard * 1000,
    openSince: () => asked,
  });

it('gives up a host that was silent past its grace, where another could take over', () => {
  expect(after(60, { heard: 0 })).toEqual([]);
  expect(after(61, { heard: 0 })).toEqual([
    {
      do: 'TimeOut',
      iteration: 'iter5',
      step: 'preflight',
      attempt: 1,
      reason: { code: 'host-silent', host: 'boltzmann', silentSeconds: 61, graceSeconds: 60 },
    },
  ]);
  expect(after(600, { heard: 590 })).toEqual([]);
});

it('counts silence from the request on, for a host may have been off before', () => {
  expect(after(30, { heard: -1000 })).toEqual([]);
});

it('waits for the last builder, and for a board, which nobody can replace', () => {
  expect(after(2000, { heard: 0, happenings: [...begun, timedOut('preflight'), settled] })).toEqual([]);
  const onBoard = [...until('reboot'), settled];
  expect(after(1000, { heard: 0, happenings: onBoard })).toEqual([]);
});

it('gives up any step after its limit, the plan’s own where it has one', () => {
  expect(after(3600)).toEqual([]);
  expect(after(3601)).toMatchObject([
    {
      step: 'preflight',
      reason: { code: 'step-overdue', host: 'boltzmann', step: 'preflight', limitSeconds: 3600 },
    },
  ]);
  const hasty = started(
    examplePlan((plan) => {
      plan.limits = { preflight: '5m' };
    }),
  );
  expect(after(301, { happenings: [hasty, succeeded('keycheck'), settled] })).toMatchObject([
    { step: 'preflight' },
  ]);
});

it('leaves alone what has ended', () => {
  expect(after(99_999, { happenings: [...begun, succeeded('preflight'), settled] })).toEqual([]);
  expect(after(99_999, { happenings: [...begun, did(abort), settled] })).toEqual([]);
});

it('gives up a changed board as lost that is silent past its step’s limit, and asks nothing else of it', () => {
  const onBoard = [...until('reboot'), settled];
  expect(after(1801, { heard: 1000, happenings: onBoard })).toMatchObject([
    {
      do: 'Lose',
      step: 'reboot',
      reason: { code: 'overdue-and-silent', step: 'reboot', limitSeconds: 1800, silentSeconds: 801 },
    },
  ]);
  expect(after(1801, { heard: 1800, happenings: onBoard })).toMatchObject([
    { do: 'TimeOut', step: 'reboot' },
  ]);
  const lost: Happening = (history) => {
    const reason = {
      ...({ code: 'overdue-and-silent', step: 'reboot' } as const),
      ...{ limitSeconds: 1800, silentSeconds: 801 },
    };
    history.decideOnce({ do: 'Lose', iteration: 'iter5', step: 'reboot', attempt: 1, reason });
  };
  expect(after(9999, { heard: 0, happenings: [...onBoard, lost] })).toEqual([]);
});
