import { headers } from 'nats';
import { describe, expect, it } from 'vitest';
import { checkMessage } from '../../eventlog/signing/check-event.ts';
import { payloadTypes } from '../../eventlog/signing/writer-key.ts';
import { blobsNamedBy } from '../../schemas/blob-marker.ts';
import { isPerson, type LoggedEvent, parseEvent } from '../../schemas/events.ts';
import { badEvidence } from '../testing/example-evidence.ts';
import { examplePlan, exampleTrust } from '../testing/example-plan.ts';
import {
  abort,
  answerOf,
  createHistory,
  did,
  failed,
  type Happening,
  historyOf,
  rejects,
  retried,
  startOf,
  succeeded,
  timedOut,
  until,
  waive,
} from '../testing/history.ts';
import { testKey } from '../testing/test-key.ts';
import { replayCheck, stateAt } from './replay.ts';

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
