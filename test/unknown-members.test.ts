import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { decide } from '../coordinator/decider/decide.ts';
import { evolve } from '../coordinator/decider/evolve.ts';
import { initialState, type State } from '../coordinator/decider/state.ts';
import { auditOf } from '../coordinator/reading/audit.ts';
import { closeDocument } from '../coordinator/reading/close-document.ts';
import { eventLine } from '../coordinator/reading/event-line.ts';
import { progress, waitsFor } from '../coordinator/reading/progress.ts';
import { replayCheck } from '../coordinator/reading/replay.ts';
import { stateAt } from '../coordinator/reading/state-at.ts';
import { badEvidence } from '../coordinator/testing/example-evidence.ts';
import {
  failed,
  type Happening,
  historyOf,
  succeeded,
  timedOut,
  until,
} from '../coordinator/testing/history.ts';
import {
  type EventType,
  fleetEvents,
  iterationEvents,
  type LoggedEvent,
  parseEvent,
  stepEventData,
} from '../schemas/events.ts';

// A newer version may write a check, a reason, a role or a state that this one does not know. Its event is not refused,
// the member is kept, and nothing here breaks or decides on it.

type Path = readonly (string | number)[];
type Def = z.core.$ZodTypes['_zod']['def'];

const defOf = (schema: z.core.$ZodType): Def => (schema._zod as unknown as { def: Def }).def;

/**
 * The places of a value at which its schema has an enum or a discriminated union, and what a newer version could write
 * there.
 */
const openPlaces = (schema: z.core.$ZodType, value: unknown, at: Path): { at: Path; newer: unknown }[] => {
  if (value === undefined || value === null) return [];
  const def = defOf(schema);
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
      return openPlaces(def.innerType, value, at);
    case 'enum':
      return [{ at, newer: 'of-tomorrow' }];
    case 'object':
      return Object.entries(def.shape).flatMap(([key, inner]) =>
        openPlaces(inner, (value as Record<string, unknown>)[key], [...at, key]),
      );
    case 'array':
      return (value as unknown[]).flatMap((inner, index) => openPlaces(def.element, inner, [...at, index]));
    case 'record': {
      const inner = Object.entries(value).flatMap(([key, one]) =>
        openPlaces(def.valueType, one, [...at, key]),
      );
      const isOfEnum = defOf(def.keyType).type === 'enum';
      return isOfEnum ? [...inner, { at, newer: { ...value, ofTomorrow: Object.values(value)[0] } }] : inner;
    }
    case 'union': {
      if (!('discriminator' in def)) return [];
      const { discriminator } = def as z.core.$ZodDiscriminatedUnionDef;
      const named = (value as Record<string, unknown>)[discriminator];
      const member = def.options.find((option) =>
        option._zod.propValues?.[discriminator]?.has(named as string),
      );
      const newer = { [discriminator]: 'of-tomorrow', how: { deep: ['it', { is: 'told' }] } };
      return [{ at, newer }, ...(member ? openPlaces(member, value, at) : [])];
    }
    default:
      return [];
  }
};

const withAt = (value: unknown, [first, ...rest]: Path, newer: unknown): unknown => {
  if (first === undefined) return newer;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<
    string | number,
    unknown
  >;
  copy[first] = withAt(copy[first], rest, newer);
  return copy;
};

const schemaOf = ({ event }: LoggedEvent): z.ZodType => {
  if (event.kind === 'step') return stepEventData[event.fact](event.step);
  return event.kind === 'fleet'
    ? fleetEvents[event.type]
    : iterationEvents[event.type as keyof typeof iterationEvents];
};

const dataIn = ({ bytes }: LoggedEvent): unknown =>
  (JSON.parse(new TextDecoder().decode(bytes)) as { data: unknown }).data;

/** The event as a newer version would have written it. */
const rewritten = (logged: LoggedEvent, at: Path, newer: unknown): LoggedEvent => {
  const envelope = JSON.parse(new TextDecoder().decode(logged.bytes)) as { data: unknown };
  const data = withAt({ ...(envelope.data as object), ofTomorrow: true }, at, newer);
  const bytes = new TextEncoder().encode(JSON.stringify({ ...envelope, data }));
  return { ...logged, bytes, event: parseEvent(bytes) };
};

/** Reads a state in every way that people do. */
const readAll = (state: State, events: readonly LoggedEvent[]): void => {
  for (const iteration of state.iterations.values()) {
    JSON.stringify([progress(iteration), waitsFor(iteration, state), auditOf(iteration, events)]);
    closeDocument(iteration);
  }
  decide({ do: 'Advance' }, state);
};

const settled: Happening = (history) => history.settle();
const histories = {
  closes: historyOf(...until('close'), settled),
  'is rolled back': historyOf(
    ...until('sweep'),
    succeeded('sweep', (it) => badEvidence(it, 'sweep')),
    succeeded('rollback'),
    settled,
  ),
  'fails in the build': historyOf(...until('build'), timedOut('build'), failed('build'), settled),
};

describe.each(Object.entries(histories))('a log of an iteration that %s', (_name, { events }) => {
  const places = events.flatMap((logged, index) =>
    openPlaces(schemaOf(logged), dataIn(logged), []).map((place) => ({ index, logged, ...place })),
  );

  it('has places where a newer version may write new members', () => {
    const types = new Set<string>(places.map(({ logged }) => logged.event.type));
    const expected: EventType[] = ['IterationStarted', 'IterationAccepted', 'PreflightSucceeded'];
    expect([...types]).toEqual(expect.arrayContaining(expected));
    expect(places.length).toBeGreaterThan(30);
  });

  it('is read, folded, judged and rendered with an unknown member in each of them', () => {
    for (const { index, logged, at, newer } of places) {
      const changed = rewritten(logged, at, newer);
      const all = events.map((one, other) => (other === index ? changed : one));
      eventLine(changed.event);
      const states = all.map(
        (
          (state) => (one: LoggedEvent) =>
            (state = evolve(state, one))
        )(initialState),
      );
      readAll(states[index] ?? initialState, all);
      readAll(states.at(-1) ?? initialState, all);
      stateAt(all, all.length);
    }
    replayCheck(events);
  });
});

it('an unknown check of a clause is a MISS, and no reason to end the iteration before its close', () => {
  const { events } = histories.closes;
  const [started] = events;
  if (!started) throw new Error('nothing starts');
  const changed = rewritten(started, ['plan', 'clauses', 0, 'proof', 0], { check: 'blessed', by: ['saint'] });
  const state = [changed, ...events.slice(1, -1)].reduce(evolve, initialState);
  const iteration = state.iterations.get('iter5');
  if (!iteration) throw new Error('it was refused');
  const [first] = auditOf(iteration, events).clauses;
  expect(first).toMatchObject({ verdict: 'MISS', faults: [{ code: 'check-unknown', check: 'blessed' }] });
  expect(decide({ do: 'Advance' }, state)).toMatchObject([
    {
      type: 'IterationFailed',
      data: { reason: { code: 'unproved', clauses: [{ clause: 'C1', verdict: 'MISS' }] } },
    },
  ]);
});
