import { completeEvent } from '../../eventlog/signing/check-event.ts';
import { lookupIn } from '../../eventlog/signing/put-aside.ts';
import { sealEvent } from '../../eventlog/signing/seal.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import {
  coordinator,
  parseEvent,
  personWriter,
  stepEventType,
  type UntypedEvent,
} from '../../schemas/events.ts';
import type { StepName } from '../../schemas/step-names.ts';
import type { Failure, StepEvidence } from '../../schemas/steps.ts';
import { fleetFacts } from '../daemon/fleet-facts.ts';
import { type Command, decide } from '../decider/decide.ts';
import { evolve } from '../decider/evolve.ts';
import { type Iteration, initialState, lastAttempt, type State } from '../decider/state.ts';
import type { LoadedPlan } from '../plan/plan-file.ts';
import { goodEvidence } from './example-evidence.ts';
import { exampleFleet, examplePlan } from './example-plan.ts';
import { testKey } from './test-key.ts';

/** A log in memory. Its events are sealed with real keys, so their bytes are as in a real log. */
export interface History {
  readonly events: readonly LoggedEvent[];
  readonly state: State;
  iteration(name?: string): Iteration;
  /** Appends one event as its writer would. A type that this version does not know is allowed. */
  append(writer: string, event: UntypedEvent): LoggedEvent;
  /** Appends the first event that a person's command produces. */
  command(command: Command): LoggedEvent | undefined;
  /** Appends one decision of the coordinator; returns false if there was none. */
  decideOnce(command?: Command): boolean;
  /** Lets the coordinator append until it has nothing to add. */
  settle(): void;
  succeed<Name extends StepName>(step: Name, evidence?: StepEvidence<Name>, iteration?: string): LoggedEvent;
  fail(step: StepName, failure: Partial<Failure>, iteration?: string): LoggedEvent;
}

/** @param from a history that this one continues; it is not changed. */
export const createHistory = (from?: History): History => {
  const events: LoggedEvent[] = [...(from?.events ?? [])];
  let state = from?.state ?? initialState;
  const history: History = {
    events,
    get state() {
      return state;
    },
    iteration: (name = 'iter5') => {
      const iteration = state.iterations.get(name);
      if (!iteration) throw new Error(`the history has no iteration ${name}`);
      return iteration;
    },
    append: (writer, event) => {
      const time = new Date(Date.UTC(2026, 4, 11) + events.length * 1000).toISOString();
      const author = { fleet: 'reauktion', name: writer, key: testKey(writer) };
      const { subject, bytes, signature, blobs } = sealEvent(event, author, state.writers.get(writer), time);
      const small = { sequence: events.length + 1, subject, bytes, signature, event: parseEvent(bytes) };
      const completed = completeEvent(small, lookupIn(blobs));
      if ('refused' in completed) throw new Error(completed.refused.why);
      const { logged } = completed;
      events.push(logged);
      state = evolve(state, logged);
      return logged;
    },
    command: (command) => {
      const [event] = decide(command, state);
      return event && history.append(personWriter((event.data as { by: string }).by), event);
    },
    decideOnce: (command = { do: 'Advance' }) => {
      const [event] = decide(command, state);
      if (event) history.append(coordinator, event);
      return event !== undefined;
    },
    settle: () => {
      for (let times = 0; history.decideOnce(); times += 1)
        if (times > 100) throw new Error('the coordinator never comes to rest');
    },
    succeed: (step, evidence, name = 'iter5') => {
      const shown = evidence ?? goodEvidence(history.iteration(name), step);
      return outcome(history, step, name, 'Succeeded', { evidence: shown, seconds: 60 });
    },
    fail: (step, failure, name = 'iter5') => {
      const told = { fault: 'work', reason: `${step} broke`, output: ['last line'], begun: ['first'] };
      return outcome(history, step, name, 'Failed', { ...told, ...failure });
    },
  };
  return history;
};

/** Appends the outcome of a step's newest attempt, as the host that was asked. */
const outcome = (
  history: History,
  step: StepName,
  name: string,
  fact: 'Succeeded' | 'Failed',
  data: unknown,
): LoggedEvent => {
  const attempt = lastAttempt<StepName>(history.iteration(name), step);
  if (!attempt) throw new Error(`${step} was not asked for`);
  return history.append(attempt.host, {
    type: stepEventType(step, fact),
    iteration: name,
    attempt: attempt.number,
    causationid: attempt.requested.eventId,
    data,
  });
};

/** The command with which a person starts a plan. */
export const startOf = (loaded: LoadedPlan, by = 'mfritsche'): Command => ({
  do: 'Start',
  iteration: loaded.plan.iteration,
  data: { ...loaded, by },
});

/** The command with which the coordinator answers a start. */
export const answerOf = ({ plan }: LoadedPlan, planAgrees = true): Command => ({
  do: 'Answer',
  iteration: plan.iteration,
  fleet: fleetFacts(plan, exampleFleet),
  planAgrees,
});

/** Something that happens in a history. */
export type Happening = (history: History) => void;

/** A person starts the plan, and the coordinator accepts it. */
export const started =
  (loaded = examplePlan()): Happening =>
  (history) => {
    history.command(startOf(loaded));
    history.decideOnce(answerOf(loaded));
  };
export const succeeded =
  <Name extends StepName>(step: Name, evidence?: (iteration: Iteration) => StepEvidence<Name>): Happening =>
  (history) =>
    void history.succeed(step, evidence?.(history.iteration()));
export const failed =
  (step: StepName, failure: Partial<Failure> = {}): Happening =>
  (history) =>
    void history.fail(step, failure);
export const did =
  (command: Command): Happening =>
  (history) =>
    void history.command(command);
export const timedOut =
  (step: StepName): Happening =>
  (history) => {
    const attempt = lastAttempt<StepName>(history.iteration(), step)?.number ?? 0;
    const { host = '' } = lastAttempt<StepName>(history.iteration(), step) ?? {};
    const reason = { code: 'host-silent', host, silentSeconds: 61, graceSeconds: 60 } as const;
    history.decideOnce({ do: 'TimeOut', iteration: 'iter5', step, attempt, reason });
  };

/** A person asks for a retry, and the coordinator accepts it. */
export const retried: Happening = (history) => {
  history.command(retry);
  history.decideOnce();
};

const iteration = 'iter5';
export const approves = (by: string): Command => ({
  do: 'Approve',
  iteration,
  by,
  note: 'read it',
  expires: '2099-01-01T00:00:00Z',
});
export const rejects = (by: string): Command => ({
  do: 'Reject',
  iteration,
  by,
  note: 'wrong',
});
export const retry: Command = { do: 'Retry', iteration, by: 'mfritsche' };
export const abort: Command = { do: 'Abort', iteration, by: 'mfritsche', why: 'lunch' };
export const waive = (clause: string): Command => ({
  do: 'Waive',
  iteration,
  clause,
  by: 'mfritsche',
  why: 'known',
});
export const approved = [did(approves('mfritsche')), did(approves('architect'))] as const;

const road = {
  preflight: [started()],
  review: [succeeded('keycheck'), succeeded('preflight')],
  land: approved,
  build: [succeeded('land')],
  publish: [succeeded('presweep'), succeeded('backup'), succeeded('build')],
  stage: [succeeded('publish')],
  install: [succeeded('stage')],
  reboot: [succeeded('install')],
  sweep: [succeeded('reboot')],
  confirm: [succeeded('sweep')],
  record: [succeeded('confirm')],
  close: [succeeded('record')],
} satisfies Record<string, readonly Happening[]>;

export type Station = keyof typeof road;
export const stations = Object.keys(road) as Station[];

/** Everything that happens before the given step is asked for, if all goes well. */
export const until = (step: Station): Happening[] =>
  stations.slice(0, stations.indexOf(step) + 1).flatMap((station) => road[station]);

/** The history of these happenings. Before each of them, the coordinator has nothing left to add. */
export const historyOf = (...happenings: readonly Happening[]): History => {
  const history = createHistory();
  for (const happen of happenings) {
    history.settle();
    happen(history);
  }
  return history;
};
