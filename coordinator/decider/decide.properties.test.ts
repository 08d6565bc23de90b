import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { LoggedEvent } from '../../schemas/events.ts';
import { stepEventType } from '../../schemas/events.ts';
import { type StepName, stepNames } from '../../schemas/step-names.ts';
import { isThorough } from '../../test/thorough/thorough.ts';
import { replayCheck } from '../reading/replay.ts';
import { badEvidence, goodEvidence } from '../testing/example-evidence.ts';
import { examplePlan } from '../testing/example-plan.ts';
import {
  createHistory,
  type History,
  historyOf,
  type Station,
  started,
  stations,
  until,
} from '../testing/history.ts';
import { type Command, decide } from './decide.ts';
import { evolve } from './evolve.ts';
import { reviewOf } from './graph.ts';
import { RefusedByDecider } from './refusal.ts';
import { type Attempt, evidenceOf, type Iteration, initialState, type State } from './state.ts';

/** What happens to one attempt. */
type Deed = 'good' | 'bad' | 'work' | 'host' | 'refused' | 'time-out' | 'again';

/** One move of the world; `pick` chooses among what is possible at that time. */
interface Move {
  kind: 'decide' | 'person' | 'unknown' | Deed;
  pick: number;
}

const move: fc.Arbitrary<Move> = fc.record({
  kind: fc.oneof(
    { weight: 30, arbitrary: fc.constant('decide' as const) },
    { weight: 20, arbitrary: fc.constant('good' as const) },
    { weight: 14, arbitrary: fc.constant('person' as const) },
    {
      weight: 10,
      arbitrary: fc.constantFrom('bad', 'work', 'host', 'refused', 'time-out', 'again', 'unknown' as const),
    },
  ),
  pick: fc.nat(1000),
});

const names = ['iter5', 'iter6'] as const;
const plans = names.map((name) =>
  examplePlan((plan) => {
    plan.iteration = name;
    if (name === 'iter6') plan.board = 'ohm';
  }),
);

const attemptsOf = (iteration: Iteration): { step: StepName; attempt: Attempt }[] =>
  stepNames.flatMap((step) => (iteration.attempts[step] as Attempt[]).map((attempt) => ({ step, attempt })));
const openOf = (iteration: Iteration) =>
  attemptsOf(iteration).filter(({ attempt }) => attempt.status === 'open');
const choose = <Value>(values: readonly Value[], pick: number): Value | undefined =>
  values[pick % values.length];

const personSays = (iteration: string, pick: number): Command | undefined => {
  const by = choose(['mfritsche', 'architect'], pick) ?? '';
  const expires = '2099-01-01T00:00:00Z';
  const approve = (approved: boolean): Command =>
    approved
      ? { do: 'Approve', iteration, by, note: '', expires }
      : { do: 'Reject', iteration, by, note: '' };
  return choose<Command>(
    [
      approve(true),
      approve(true),
      approve(true),
      approve(true),
      approve(false),
      { do: 'Retry', iteration, by },
      { do: 'Retry', iteration, by },
      { do: 'Waive', iteration, clause: `C${1 + (pick % 12)}`, why: 'known', by },
      { do: 'Abort', iteration, by, why: '' },
    ],
    Math.floor(pick / 2),
  );
};

/** Something happens to one of the open attempts; `again` is a second or late outcome of one that is over. */
const happenTo = (history: History, kind: Deed, pick: number): void => {
  const candidates = [...history.state.iterations.values()].flatMap((iteration) =>
    attemptsOf(iteration)
      .filter(({ attempt }) => (attempt.status === 'open') === (kind !== 'again'))
      .map((one) => ({ ...one, iteration })),
  );
  const chosen = choose(candidates, pick);
  if (!chosen) return;
  const { step, attempt, iteration } = chosen;
  const say = (fact: 'Succeeded' | 'Failed', data: unknown) => {
    const event = {
      type: stepEventType(step, fact),
      iteration: iteration.name,
      attempt: attempt.number,
      data,
    };
    const subject = `.${iteration.name}.${event.type}.${attempt.number}`;
    // The log holds a fact once: its subject is taken.
    if (!history.events.some((logged) => logged.subject.endsWith(subject)))
      history.append(attempt.host, event);
  };
  const broke = { reason: `${step} broke`, output: [] };
  switch (kind) {
    case 'again':
    case 'good':
      say('Succeeded', { evidence: goodEvidence(iteration, step), seconds: 1 });
      break;
    case 'bad':
      say('Succeeded', { evidence: badEvidence(iteration, step), seconds: 1 });
      break;
    case 'work':
    case 'host':
      say('Failed', { ...broke, fault: kind, begun: ['first'] });
      break;
    case 'refused':
      say('Failed', { ...broke, fault: 'host', begun: [] });
      break;
    case 'time-out':
      history.decideOnce({
        do: 'TimeOut',
        iteration: iteration.name,
        step,
        attempt: attempt.number,
        reason: { code: 'step-overdue', host: attempt.host, step, limitSeconds: 60 },
      });
  }
};

/** Makes one move. One that is impossible now, or refused, changes nothing. */
const make = (history: History, { kind, pick }: Move): void => {
  const name = choose(names, pick) ?? 'iter5';
  switch (kind) {
    case 'decide':
      history.decideOnce();
      break;
    case 'person':
      try {
        const command = personSays(name, Math.floor(pick / 2));
        if (command) history.command(command);
      } catch (error) {
        if (!(error instanceof RefusedByDecider)) throw error;
      }
      break;
    case 'unknown':
      history.append('fresnel', { type: 'BatteryLow', iteration: name, attempt: 1, data: { pick } });
      break;
    case 'good':
    case 'bad':
    case 'work':
    case 'host':
    case 'refused':
    case 'time-out':
    case 'again':
      happenTo(history, kind, pick);
  }
};

/** How a history begins, and what happens then. */
interface Story {
  /** Everything goes well until this is reached. */
  from: Station;
  moves: Move[];
}

const story = (moveCount: number): fc.Arbitrary<Story> =>
  fc.record({
    from: fc.constantFrom(...stations),
    moves: fc.array(move, { minLength: 10, maxLength: moveCount, size: 'max' }),
  });

const begun = new Map(
  stations.map((from) => [from, historyOf(...until(from), ...plans.slice(1).map((plan) => started(plan)))]),
);

const play = ({ from, moves }: Story, check: (history: History) => void = () => undefined): History => {
  const history = createHistory(begun.get(from));
  for (const one of moves) {
    make(history, one);
    check(history);
  }
  return history;
};

const holds = (moveCount: number, property: (story: Story) => void, numRuns = isThorough ? 50 : 20) =>
  fc.assert(fc.property(story(moveCount), property), { numRuns });

const fold = (events: readonly LoggedEvent[]): State => events.reduce(evolve, initialState);
const openRequests = (state: State) =>
  [...state.iterations.values()].flatMap((iteration) =>
    openOf(iteration).map(
      ({ step, attempt }) => `${iteration.name} ${step} ${attempt.number} ${attempt.host}`,
    ),
  );

it('a restart at any prefix, and any event repeated, changes neither the state nor the open requests', () => {
  holds(50, (told) => {
    const seen: { at: number; state: State }[] = [];
    const { events, state } = play(told, (history) => {
      seen.push({ at: history.events.length, state: history.state });
    });
    for (const { at, state: then } of seen.filter((_, index) => index % 7 === 0)) {
      const again = fold(events.slice(0, at));
      expect(again).toEqual(then);
      expect(openRequests(again)).toEqual(openRequests(then));
      expect(decide({ do: 'Advance' }, again)).toEqual(decide({ do: 'Advance' }, then));
    }
    expect(events.reduce((folded, event) => evolve(evolve(folded, event), event), initialState)).toEqual(
      state,
    );
    expect(events.reduce(evolve, state)).toEqual(state);
  });
});

it('no step ever has two open attempts, nothing lands unapproved, and nothing is decided after the end', () => {
  holds(60, (told) => {
    play(told, ({ state }) => {
      for (const iteration of state.iterations.values()) {
        const open = openOf(iteration).map(({ step }) => step);
        expect(new Set(open).size).toBe(open.length);
      }
      for (const event of decide({ do: 'Advance' }, state)) {
        const iteration = state.iterations.get(event.iteration);
        if (event.type !== 'RetryAccepted' && event.type !== 'RetryRefused')
          expect(iteration?.ended).toBeUndefined();
        if (event.type === 'LandRequested' && iteration) expect(reviewOf(iteration)?.missing).toEqual([]);
        if (event.type === 'IterationClosed' && iteration) {
          expect(iteration.attempts.rollback).toEqual([]);
          expect(evidenceOf(iteration, 'sweep')).toBeDefined();
        }
      }
    });
  });
});

it('an iteration always ends, or waits for people whom it names or a host that has an open request', () => {
  holds(50, (told) => {
    const history = play(told);
    history.settle();
    for (const iteration of history.state.iterations.values()) {
      const waitsForPeople = reviewOf(iteration)?.asked && (reviewOf(iteration)?.missing.length ?? 0) > 0;
      const waits = waitsForPeople || openOf(iteration).length > 0;
      expect(waits || iteration.ended !== undefined).toBe(true);
    }
  });
});

it('a world in which all goes well from now on brings every iteration to its end', () => {
  holds(40, (told) => {
    const history = play(told);
    for (let round = 0; round < 30; round += 1) {
      history.settle();
      for (const name of names) {
        for (const by of history.iteration(name).plan.review.approvals)
          if (reviewOf(history.iteration(name))?.missing.includes(by) && !history.iteration(name).ended)
            history.command({
              do: 'Approve',
              iteration: name,
              by,
              note: '',
              expires: '2099-01-01T00:00:00Z',
            });
        for (const { step, attempt } of openOf(history.iteration(name)))
          history.append(attempt.host, {
            type: stepEventType(step, 'Succeeded'),
            iteration: name,
            attempt: attempt.number,
            data: { evidence: goodEvidence(history.iteration(name), step), seconds: 1 },
          });
      }
    }
    for (const name of names) expect(history.iteration(name).ended).toBeDefined();
  });
});

it('today’s code decides again every history that it has made', () => {
  holds(60, (told) => {
    const { events } = play(told);
    expect(replayCheck(events).mismatches).toEqual([]);
  });
});
