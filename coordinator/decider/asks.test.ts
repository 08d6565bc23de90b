import { describe, expect, it } from 'vitest';
import type { FleetFacts } from '../../schemas/events.ts';
import { examplePlan } from '../testing/example-plan.ts';
import { advance, given } from '../testing/given.ts';
import {
  answerOf,
  did,
  failed,
  type Happening,
  historyOf,
  retried,
  retry,
  started,
  startOf,
  until,
} from '../testing/history.ts';
import type { Command } from './decide.ts';

const loaded = examplePlan();
const named = (iteration: string, board = 'fresnel') =>
  examplePlan((plan) => Object.assign(plan, { iteration, board }));

const asked =
  (command: Command): Happening =>
  (history) =>
    void history.command(command);
const settled: Happening = (history) => history.settle();

/** The coordinator's answer, with a fleet's file that differs from the example's. */
const answered = (change: (facts: FleetFacts) => void): Command => {
  const answer = structuredClone(answerOf(loaded)) as Extract<Command, { do: 'Answer' }>;
  change(answer.fleet);
  return answer;
};

/** The refusal's code in the one event that is decided. */
const refusalOf = (history: ReturnType<typeof given>, command: Command, number = 1) => {
  const [event] = history.when(command).then(`IterationRefused.${number}`);
  if (!event) throw new Error('nothing is decided');
  return (event.data as { reason: { code: string } }).reason;
};

describe('a person asks, the coordinator answers', () => {
  it('accepts, and records the rules and the facts of the fleet’s file that apply', () => {
    const [accepted] = given(asked(startOf(loaded)))
      .when(answerOf(loaded))
      .then('IterationAccepted.1');
    expect(accepted).toMatchObject({
      causationid: '@mfritsche/iter5.IterationStarted.1',
      data: {
        rules: [],
        fleet: {
          hosts: { boltzmann: { role: 'builder' }, fresnel: { role: 'board' } },
          reviewers: { architect: { mayApprove: true } },
        },
      },
    });
  });

  it('asks nothing of a host before it has answered', () => {
    given(asked(startOf(loaded)))
      .when(advance)
      .then();
    expect(given(asked(startOf(loaded))).history.state.iterations.size).toBe(0);
  });

  it('answers each start once', () => {
    given(started()).when(answerOf(loaded)).then();
    given().when(answerOf(loaded)).then();
  });

  it('takes the first of two who ask for the same name at once', () => {
    const both = given(
      asked(startOf(loaded)),
      asked(startOf(loaded, 'architect')),
      (history) => void history.decideOnce(answerOf(loaded)),
    );
    expect(both.history.iteration().startedBy).toBe('mfritsche');
    expect(refusalOf(both, answerOf(loaded))).toMatchObject({ code: 'name-taken', by: 'mfritsche' });
  });

  it('takes the first of two who ask for the same board at once', () => {
    const other = named('iter6');
    const both = given(
      asked(startOf(loaded)),
      asked(startOf(other)),
      (history) => void history.decideOnce(answerOf(loaded)),
    );
    expect(refusalOf(both, answerOf(other))).toEqual({
      code: 'board-busy',
      board: 'fresnel',
      iteration: 'iter5',
    });
  });

  it('takes a start again that it has refused before', () => {
    const refused = given(
      asked(startOf(loaded)),
      (history) => void history.decideOnce(answerOf(loaded, false)),
    );
    expect(refused.history.state.starts.get('iter5')).toMatchObject({
      refusals: 1,
      refused: { reason: { code: 'plan-differs' } },
    });
    refused.when(startOf(loaded)).then('IterationStarted.2');
    const again = given(
      asked(startOf(loaded)),
      (history) => void history.decideOnce(answerOf(loaded, false)),
      asked(startOf(loaded)),
    );
    expect(refusalOf(again, answerOf(loaded, false), 2).code).toBe('plan-differs');
    again.when(answerOf(loaded)).then('IterationAccepted.1');
  });

  it('refuses what it does not understand', () => {
    const command = startOf(loaded) as Extract<Command, { do: 'Start' }>;
    const newer = given(asked({ ...command, data: { ...command.data, needs: ['two-boards'] } }));
    expect(refusalOf(newer, answerOf(loaded))).toEqual({ code: 'too-old', needs: ['two-boards'] });
  });

  it.each<[string, (facts: FleetFacts) => void]>([
    ['host-unknown', ({ hosts }) => void delete hosts.fermi],
    ['host-role', ({ hosts }) => void Object.assign(hosts, { hertz: { role: 'board' } })],
    ['person-unknown', ({ reviewers }) => void delete reviewers.architect],
    [
      'may-not-approve',
      ({ reviewers }) => void Object.assign(reviewers, { architect: { mayApprove: false } }),
    ],
  ])('refuses a plan that its copy of the fleet’s file does not fit: %s', (code, change) => {
    expect(refusalOf(given(asked(startOf(loaded))), answered(change)).code).toBe(code);
  });

  it('applies the command line’s own rules to a start that was signed by hand', () => {
    const alone = examplePlan((plan) => {
      plan.review.approvals = ['mfritsche'];
    });
    const byHand: Happening = (history) =>
      void history.append('@mfritsche', {
        type: 'IterationStarted',
        iteration: 'iter5',
        attempt: 1,
        data: { ...alone, by: 'mfritsche' },
      });
    given()
      .when(startOf(alone))
      .thenRefused(/would be its only approver/);
    expect(refusalOf(given(byHand), answerOf(alone)).code).toBe('only-approver');
  });
});

describe('a retry', () => {
  const broken = [...until('build'), settled, failed('build'), settled];

  it('counts once the coordinator has accepted it', () => {
    const waiting = given(...broken, did(retry));
    expect(waiting.history.iteration().ended?.status).toBe('failed');
    waiting.when(advance).then('RetryAccepted.1');
    expect(historyOf(...broken, retried).iteration().ended).toBeUndefined();
  });

  it('is refused where another iteration has begun on the board meanwhile', () => {
    const byHand: Happening = (history) =>
      void history.append('@mfritsche', {
        type: 'RetryAsked',
        iteration: 'iter5',
        attempt: 1,
        data: { by: 'mfritsche' },
      });
    const other = given(...broken, started(named('iter6')), settled, byHand);
    const [refused] = other.when(advance).then('RetryRefused.1');
    expect(refused?.data).toEqual({
      reason: { code: 'board-busy', board: 'fresnel', iteration: 'iter6' },
    });
    const answer: Happening = (history) => void history.decideOnce();
    const after = given(...broken, started(named('iter6')), settled, byHand, answer).history;
    expect(after.iteration().ended?.status).toBe('failed');
    expect(after.iteration().retryAnswered).toMatchObject({ number: 1, refused: { code: 'board-busy' } });
  });
});
