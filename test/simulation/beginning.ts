import { evolve } from '../../coordinator/decider/evolve.ts';
import { type Iteration, initialState, type State } from '../../coordinator/decider/state.ts';
import { badEvidence, goodEvidence } from '../../coordinator/testing/example-evidence.ts';
import { exampleFleet, examplePlan } from '../../coordinator/testing/example-plan.ts';
import {
  type Happening,
  historyOf,
  type Station,
  started,
  until,
} from '../../coordinator/testing/history.ts';
import type { AttemptId } from '../../schemas/attempt-id.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { noIteration } from '../../schemas/events.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { createKeptJournal, type KeptJournal } from './kept-journal.ts';

/** The start of a schedule: a log up to some step of an iteration, and the hosts' journals at that time. */
export interface Beginning {
  events: readonly LoggedEvent[];
  /** The state after each of them. */
  states: readonly State[];
  journals: ReadonlyMap<string, KeptJournal>;
  /** The requests that their host has not seen yet. */
  unacked: ReadonlyMap<string, readonly number[]>;
  iteration: Iteration;
}

/** Short limits and graces, so that a schedule is short; few clauses, since those are tested elsewhere. */
const plan = examplePlan((draft) => {
  draft.clauses = draft.clauses.filter(({ id }) => id === 'C7' || id === 'C12');
  draft.package.names.splice(1);
  draft.series.patches?.splice(1);
  draft.close.notes = [];
  draft.sweep.rows.splice(1);
  draft.sweep.repeats = 1;
  draft.limits = {
    preflight: '4m',
    keycheck: '4m',
    land: '4m',
    build: '6m',
    publish: '6m',
    presweep: '4m',
    backup: '4m',
    stage: '4m',
    install: '5m',
    reboot: '4m',
    sweep: '4m',
    confirm: '4m',
    rollback: '8m',
    record: '4m',
  };
});

export const fleet = {
  ...exampleFleet,
  hosts: Object.fromEntries(
    Object.entries(exampleFleet.hosts)
      .filter(([name]) => name !== 'ohm')
      .map(([name, host]) => [name, { ...host, graceSeconds: 60 }]),
  ),
};
export const hostNames = Object.keys(fleet.hosts);

const starts =
  (host: string): Happening =>
  (history) => {
    const { role } = fleet.hosts[host] as (typeof fleet.hosts)[string];
    const data = { role, version: '1', bootId: `${host}-0`, release: 'r', package: null };
    history.append(host, { type: 'AgentStarted', iteration: noIteration, attempt: 1, data });
  };

const begin = (station: Station): Beginning => {
  const history = historyOf(...hostNames.map(starts), started(plan), ...until(station).slice(1));
  const { events } = history;
  let state = initialState;
  const states = events.map((logged) => {
    state = evolve(state, logged);
    return state;
  });
  const journals = new Map(hostNames.map((host) => [host, createKeptJournal()]));
  const ended = new Set<string>();
  for (const { event } of events)
    if (event.kind === 'step' && event.fact !== 'Requested') ended.add(`${event.step} ${event.attempt}`);
  const unacked = new Map<string, number[]>(hostNames.map((host) => [host, []]));
  for (const { event, bytes, subject, sequence, signature = '' } of events) {
    const own = journals.get(event.source)?.journal;
    const noteOwn = (answers?: AttemptId) => {
      own?.outbox.note({ seq: event.writerseq, subject, bytes, signature }, answers);
      own?.outbox.markSent(event.writerseq, sequence);
    };
    if (event.kind === 'fleet') noteOwn();
    if (event.kind !== 'step') continue;
    const { iteration, step, attempt, source, id } = event;
    if (event.fact !== 'Requested') noteOwn({ iteration, step, attempt });
    else if (ended.has(`${step} ${attempt}`)) {
      const request = { iteration, step, attempt, bytes, eventId: `${source}/${id}` };
      journals.get(event.data.host)?.journal.requests.note(request, { sequence, signature });
    } else unacked.get(event.data.host)?.push(sequence);
  }
  return { events, states, journals, unacked, iteration: history.iteration() };
};

const begun = new Map<Station, Beginning>();

/** A beginning after everything went well up to this station. */
export const beginAt = (station: Station): Beginning => {
  const known = begun.get(station);
  if (known) return known;
  const beginning = begin(station);
  begun.set(station, beginning);
  return beginning;
};

const { iteration } = begin('preflight');
const shown = new Map<string, unknown>();
const show = (kind: 'good' | 'bad', step: StepName): unknown => {
  const key = `${kind} ${step}`;
  if (!shown.has(key)) shown.set(key, (kind === 'good' ? goodEvidence : badEvidence)(iteration, step));
  return shown.get(key);
};
/** A step's evidence, which depends only on the plan. */
export const evidence = {
  good: (step: StepName) => show('good', step),
  bad: (step: StepName) => show('bad', step),
};
