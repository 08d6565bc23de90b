import { headers } from 'nats';
import { describe, expect, it } from 'vitest';
import { checkMessage } from '../../eventlog/signing/check-event.ts';
import { payloadTypes } from '../../eventlog/signing/writer-key.ts';
import { blobsNamedBy } from '../../schemas/blob-marker.ts';
import { isPerson, type LoggedEvent, parseEvent } from '../../schemas/events.ts';
import { evolve } from '../decider/evolve.ts';
import { initialState } from '../decider/state.ts';
import { badEvidence, goodEvidence } from '../testing/example-evidence.ts';
import { examplePlan, exampleTrust } from '../testing/example-plan.ts';
import {
  abort,
  answerOf,
  createHistory,
  did,
  failed,
  type Happening,
  type History,
  historyOf,
  rejects,
  retried,
  retry,
  started,
  startOf,
  succeeded,
  timedOut,
  until,
  waive,
} from '../testing/history.ts';
import { testKey } from '../testing/test-key.ts';
import { replayCheck } from './replay.ts';
import { stateAt } from './state-at.ts';

const settled: Happening = (history) => history.settle();

/** The log with one event's data changed, as if another code had written it. */
const altered = (
  events: readonly LoggedEvent[],
  type: string,
  change: (data: never) => unknown,
): LoggedEvent[] =>
  events.map((logged) => {
    if (logged.event.type !== type) return logged;
    const envelope = JSON.parse(new TextDecoder().decode(logged.bytes));
    const bytes = new TextEncoder().encode(
      JSON.stringify({ ...envelope, data: change(envelope.data as never) }),
    );
    return { ...logged, bytes, event: parseEvent(bytes) };
  });

const whole = historyOf(...until('close'), settled).events;

it('a test’s history holds what a log would: events signed by their writers, under the subjects of their facts', () => {
  for (const { subject, bytes, sequence, event } of whole) {
    const head = headers();
    head.set('Ka-Signature', testKey(event.source).sign(payloadTypes.event, bytes));
    expect(checkMessage(exampleTrust, { subject, data: bytes, headers: head }, sequence)).toHaveProperty(
      'logged',
    );
  }
});

it('decides an event with blobs again from its whole data, not from the markers', () => {
  const loaded = examplePlan();
  const [first, ...rest] = loaded.series;
  if (!first) throw new Error('the plan has no patch');
  const large = { ...loaded, series: [{ ...first, base64: 'A'.repeat(700_000) }, ...rest] };
  const history = createHistory();
  history.command(startOf(large));
  history.decideOnce(answerOf(large));
  history.settle();
  const asked = history.events.find(({ event }) => event.type === 'PreflightRequested');
  expect(blobsNamedBy(asked?.bytes ?? Buffer.of())).not.toEqual([]);
  expect(replayCheck(history.events)).toMatchObject({ decided: 3, mismatches: [] });
});

describe('what came beside the log after an abort', () => {
  const usedBy = Array.from({ length: 3_000 }, (_, n) => `${n}-${'x'.repeat(190)}.c`);
  const large: Happening = (history) => {
    const evidence = goodEvidence(history.iteration(), 'preflight');
    history.succeed('preflight', {
      ...evidence,
      symbols: evidence.symbols.map((symbol) => ({ ...symbol, usedBy })),
    });
  };
  /** Continues a log whose last event's blobs are not there yet, as the coordinator reads it then. */
  const withoutLast = (history: History): History => {
    const last = history.events.at(-1);
    if (!last?.whole) throw new Error('the last event has put nothing aside');
    const bare = { ...last, event: parseEvent(last.bytes) };
    const state = evolve(history.events.slice(0, -1).reduce(evolve, initialState), bare);
    return createHistory({ ...history, events: history.events, state });
  };

  it('is decided again as it was known then, and as it is known now', () => {
    const history = withoutLast(historyOf(started(), settled, large));
    history.command(abort);
    history.settle();
    const { events } = history;
    expect(events.slice(-4).map(({ event }) => event.type)).toEqual([
      'AbortAsked',
      'PreflightSuperseded',
      'KeycheckSuperseded',
      'IterationAborted',
    ]);
    expect(replayCheck(events)).toMatchObject({ mismatches: [], unjudged: 0 });
    expect(events.reduce(evolve, initialState).iterations.get('iter5')?.ended?.status).toBe('aborted');
  });

  it('is no excuse for who gave an outcome up that was known, nor for who did so before anybody ended it', () => {
    const known = historyOf(started(), settled, succeeded('preflight'));
    const [reason, data] = [{ code: 'aborted', by: 'mfritsche', says: 'lunch' }, { host: 'boltzmann' }];
    const giveUp = (history: History, code: string) =>
      history.append('coordinator', {
        ...{ type: 'PreflightSuperseded', iteration: 'iter5', attempt: 1, host: 'boltzmann' },
        causationid: history.iteration().last.eventId,
        data:
          code === 'iteration-ends'
            ? { ...data, reason: { code, reason } }
            : { ...data, reason: { code, host: 'boltzmann', silentSeconds: 61, graceSeconds: 60 } },
      });
    known.command(abort);
    giveUp(known, 'iteration-ends');
    expect(replayCheck(known.events).mismatches).toMatchObject([{ type: 'PreflightSuperseded' }]);

    const early = withoutLast(historyOf(started(), settled, large));
    giveUp(early, 'host-silent');
    expect(replayCheck(early.events).mismatches).toMatchObject([{ type: 'PreflightSuperseded' }]);
  });
});

describe('a log of which only one iteration is shown', () => {
  const other = examplePlan((plan) => {
    plan.iteration = 'other';
  });
  const withheld = new Set(['other']);
  const shownOf = ({ events }: History) => events.filter(({ event }) => event.iteration === 'iter5');

  it('has its refusals believed as far as they rest on the others, with a note', () => {
    const history = historyOf(...until('build'), settled, failed('build'), settled, did(retry));
    history.command(startOf(other));
    history.decideOnce(answerOf(other));
    history.settle();
    const shown = shownOf(history);
    expect(shown.at(-1)?.event.type).toBe('RetryRefused');
    expect(replayCheck(history.events)).toMatchObject({ mismatches: [], notes: [] });
    expect(replayCheck(shown).mismatches).toMatchObject([{ type: 'RetryRefused' }]);
    const why = expect.stringMatching(/^it depends on other, /);
    expect(replayCheck(shown, withheld)).toMatchObject({
      mismatches: [],
      notes: [{ type: 'RetryRefused', why }],
    });
  });

  it('has the iteration believed since which its review shows what differs, with a note', () => {
    const history = historyOf(...until('close'), settled);
    history.command(startOf(other));
    history.decideOnce(answerOf(other));
    history.settle();
    const commit = history
      .iteration()
      .attempts.land.flatMap((landing) =>
        landing.status === 'succeeded' ? landing.evidence.commits : [],
      )[1]?.commit;
    expect(history.iteration('other').since).toEqual({ iteration: 'iter5', commit });
    const shown = history.events.filter(({ event }) => event.iteration === 'other');
    expect(replayCheck(history.events)).toMatchObject({ mismatches: [], notes: [] });
    expect(replayCheck(shown).mismatches).toMatchObject([{ type: 'IterationAccepted' }]);
    expect(replayCheck(shown, new Set(['iter5']))).toMatchObject({
      mismatches: [],
      notes: [{ type: 'IterationAccepted', why: expect.stringMatching(/^it depends on iter5, /) }],
    });
  });

  it('is told of what no other iteration explains', () => {
    const history = createHistory();
    const plan = examplePlan();
    history.command(startOf(plan));
    history.command(startOf(other));
    history.decideOnce(answerOf(other));
    history.decideOnce(answerOf(plan));
    const shown = shownOf(history);
    expect(shown.at(-1)?.event.type).toBe('IterationRefused');
    expect(replayCheck(shown, withheld)).toMatchObject({ mismatches: [], notes: [{}] });
    for (const reason of [
      { code: 'board-busy', board: 'ohm', iteration: 'other' }, // not the plan's
      { code: 'board-busy', board: 'fresnel', iteration: 'iter4' }, // not in the log
    ]) {
      const changed = altered(shown, 'IterationRefused', (data: object) => ({ ...data, reason }));
      const { mismatches, notes } = replayCheck(changed, withheld);
      expect([mismatches.map(({ type }) => type), notes]).toEqual([['IterationRefused'], []]);
    }
  });
});

describe('replaying', () => {
  it.each<[string, Happening[]]>([
    ['an iteration that closes', [...until('close')]],
    [
      'a rejection and a retry',
      [...until('review'), did(rejects('architect')), retried, did(rejects('mfritsche'))],
    ],
    ['a time-out and its fallback', [...until('build'), settled, timedOut('build'), succeeded('build')]],
    [
      'a failure, a waiver and a retry',
      [
        ...until('publish'),
        succeeded('publish', (it) => badEvidence(it, 'publish')),
        did(waive('C8')),
        retried,
      ],
    ],
    ['a rollback', [...until('sweep'), failed('sweep'), succeeded('rollback')]],
    ['an abort', [...until('build'), did(abort)]],
  ])('%s decides all of it again', (_name, happenings) => {
    const { events } = historyOf(...happenings, settled);
    const { decided, mismatches, events: count } = replayCheck(events);
    expect(mismatches).toEqual([]);
    expect(count).toBe(events.length);
    const own = events.filter(
      ({ event }) =>
        (event.source === 'coordinator' || isPerson(event.source)) &&
        event.type !== 'IterationStarted' &&
        event.type !== 'RetryAsked',
    );
    expect(decided).toBe(own.length);
  });

  it('folds unknown events, and decides nothing because of them', () => {
    const unknown: Happening = (history) =>
      void history.append('coordinator', { type: 'PlanPraised', iteration: 'iter5', attempt: 1, data: {} });
    const { events } = historyOf(...until('build'), unknown, settled);
    expect(replayCheck(events).mismatches).toEqual([]);
  });
});

describe('what today’s code would not write', () => {
  it('is shown with what it would write instead', () => {
    const other = altered(whole, 'BuildRequested', (data: { host: string; request: { commit: string } }) => ({
      ...data,
      request: { ...data.request, commit: '0'.repeat(40) },
    }));
    const { mismatches } = replayCheck(other);
    // The record at the end is based on every event of the iteration.
    expect(mismatches.map(({ type }) => type)).toEqual(['BuildRequested', 'RecordRequested']);
    expect(mismatches[0]).toMatchObject({
      type: 'BuildRequested',
      why: "today's code writes another data",
      found: { data: { request: { commit: '0'.repeat(40) } } },
      expected: { type: 'BuildRequested', host: 'boltzmann', attempt: 1 },
    });
  });

  it('is a request that was not due', () => {
    const early: Happening = (history) =>
      void history.append('coordinator', {
        type: 'BackupRequested',
        iteration: 'iter5',
        attempt: 1,
        host: 'fresnel',
        causationid: history.iteration().last.eventId,
        data: { host: 'fresnel', request: { host: 'hertz', names: ['linux-fourier'], version: '7.0-1' } },
      });
    const { events } = historyOf(...until('preflight'), settled, early);
    expect(replayCheck(events).mismatches).toMatchObject([
      { sequence: 5, type: 'BackupRequested', expected: null, why: "today's code writes nothing here" },
    ]);
  });

  it('is an event that the decider would have refused to a person', () => {
    const twice: Happening = (history) =>
      void history.append('@mfritsche', {
        type: 'ClauseWaived',
        iteration: 'iter5',
        attempt: 1,
        data: { by: 'mfritsche', clause: 'C99', why: 'known' },
      });
    const { events } = historyOf(...until('build'), settled, twice);
    expect(replayCheck(events).mismatches).toMatchObject([
      { type: 'ClauseWaived', why: expect.stringMatching(/refuses it: .*has no clause "C99"/) },
    ]);
  });

  it('is an event that its writer may not write', () => {
    const says =
      (writer: string, type: string, data: unknown): Happening =>
      (history) =>
        void history.append(writer, { type, iteration: 'iter5', attempt: 1, data });
    const { events } = historyOf(
      ...until('build'),
      settled,
      says('coordinator', 'AbortAsked', { by: 'm', why: '' }),
      says('@mfritsche', 'BuildFailed', { fault: 'work', reason: 'x', output: [] }),
    );
    expect(replayCheck(events).mismatches.map(({ why }) => why)).toEqual([
      'coordinator may not write this event',
      '@mfritsche may not write this event',
    ]);
  });
});

describe('the state as it was', () => {
  it('is plain JSON of every iteration, its attempts, review and verdicts, and of the hosts', () => {
    const agent: Happening = (history) =>
      void history.append('fresnel', {
        type: 'AgentStarted',
        iteration: '_',
        attempt: 1,
        data: { role: 'board', version: '0.1.0', bootId: 'b', release: '7.0.0-fourier', package: '7.0-1' },
      });
    const { events } = historyOf(agent, ...until('land'), settled, timedOut('land'), settled);
    const state = stateAt(events, events.length);
    expect(JSON.parse(JSON.stringify(state))).toEqual(state);
    expect(state.hosts.fresnel).toMatchObject({
      role: 'board',
      package: '7.0-1',
      startedAt: { sequence: 1 },
    });
    expect(state.iterations.iter5).toMatchObject({
      status: 'under way',
      review: { asked: true, missing: [], rejectedBy: null },
      steps: {
        preflight: [{ attempt: 1, host: 'boltzmann', status: 'succeeded', seconds: 60 }],
        land: [
          {
            attempt: 1,
            host: 'boltzmann',
            status: 'superseded',
            reason: { code: 'host-silent', silentSeconds: 61 },
          },
          { attempt: 2, host: 'fermi', status: 'open' },
        ],
        build: [],
      },
    });
    expect(state.iterations.iter5?.clauses.find(({ id }) => id === 'C1')?.verdict).toBe('PASS');
  });

  it('knows nothing of what came later', () => {
    expect(stateAt(whole, 0)).toEqual({ sequence: 0, iterations: {}, hosts: {} });
    expect(stateAt(whole, 3).iterations.iter5?.steps.preflight).toMatchObject([{ status: 'open' }]);
    expect(stateAt(whole, whole.length).iterations.iter5?.status).toBe('closed');
  });
});
