import type { LogConnection } from '../../eventlog/connection/connect.ts';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { linkTo, type SealedEvent, sealEvent } from '../../eventlog/signing/seal.ts';
import { createBlobStore } from '../../eventlog/stream/blob-reader.ts';
import { appendEvent, EventLog } from '../../eventlog/stream/event-log.ts';
import { formatAttemptOn } from '../../schemas/attempt-id.ts';
import { type LoggedEvent, type NewEvent, personWriter, stepEvent } from '../../schemas/events.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { type LogServer, people, startLogServer, until } from '../../test/log-server.ts';
import { foldLog } from '../commands/session.ts';
import { openAttempts } from '../daemon/time-limits.ts';
import { type Command, decide } from '../decider/decide.ts';
import { evolve } from '../decider/evolve.ts';
import { type Iteration, initialState, type State } from '../decider/state.ts';
import { goodEvidence } from './example-evidence.ts';
import { exampleFleet, examplePlan } from './example-plan.ts';
import { approves, startOf } from './history.ts';
import { startCoordinator } from './start-coordinator.ts';

/** How the hosts do their work. By default at once and well. */
interface Playing {
  evidenceOf?: (iteration: Iteration, step: StepName) => unknown;
  append?: (writer: string, sealed: SealedEvent) => Promise<unknown>;
}

const roles = Object.fromEntries(Object.entries(exampleFleet.hosts).map(([host, { role }]) => [host, role]));

/** The person who writes an event. */
const writerOf = ({ data }: NewEvent): string => personWriter((data as { by: string }).by);

/** Reads the log as a person does. @param blobs the reader's own store of blobs. */
const readLog = async (log: LogServer, wire: LogConnection, blobs = createBlobStore()) => {
  const lacks: string[] = [];
  const messages: KeptMessage[] = [];
  const events: LoggedEvent[] = [];
  const reader = new EventLog(wire, log.trust);
  await reader.follow(
    {
      until: await reader.lastSequence(),
      blobs,
      onMessage: (message) => void messages.push(message),
      onLack: ({ subject }) => void lacks.push(subject),
    },
    (logged) => void events.push(logged),
  );
  return { events, messages, lacks, state: foldLog(events), readBlob: reader.readBlob };
};

/**
 * The example fleet on a real log, without a coordinator: people and hosts, each with a connection and a journal of its
 * own, which a test lets say what it needs, or play an iteration.
 * @param boards that the fleet has besides.
 */
export const startPlayedFleet = async ({
  boards = [],
  ...options
}: { boards?: readonly string[] } & Parameters<typeof startLogServer>[2] = {}) => {
  const all = { ...roles, ...Object.fromEntries(boards.map((board) => [board, 'board' as const])) };
  const log = await startLogServer(exampleFleet.fleet, all, options);
  const hosts = Object.keys(all);
  const wires = new Map<string, LogConnection>();
  /** What each writer has said, also what the log has not delivered yet, or has lost. */
  const said = new Map<string, SealedEvent[]>();
  const over = new AbortController();
  const playing = new Set<Promise<void>>();
  const coordinators: { stop: () => Promise<void> }[] = [];

  const wire = async (writer: string): Promise<LogConnection> => {
    const connection = wires.get(writer) ?? (await log.connect(writer));
    wires.set(writer, connection);
    return connection;
  };
  const person = await wire(personWriter(people[0])).catch(async (error: unknown) => {
    await log.stop();
    throw error;
  });
  const read = () => readLog(log, person);

  const append = async (writer: string, sealed: SealedEvent) => appendEvent(await wire(writer), sealed);
  const say = async (writer: string, event: NewEvent, how: Playing['append'] = append): Promise<void> => {
    const before = said.get(writer)?.at(-1);
    const author = { fleet: log.fleet.fleet, name: writer, key: log.key(writer) };
    const sealed = sealEvent(
      event,
      author,
      before && linkTo(before.seq, before.bytes),
      new Date().toISOString(),
    );
    said.set(writer, [...(said.get(writer) ?? []), sealed]);
    await how(writer, sealed);
  };
  const sayAgain = (writer: string, sealed: SealedEvent) =>
    until(() =>
      append(writer, sealed).then(
        () => true,
        () => undefined,
      ),
    );
  /** Says what a person's command produces on the log as it is now, if it produces anything. */
  const command = async (what: Command): Promise<void> => {
    const [event] = decide(what, (await read()).state);
    if (event) await say(writerOf(event), event);
  };

  /** Answers what is open in an iteration, and has not been answered before. */
  const createAnswers = (name: string, { evidenceOf = goodEvidence, append: how = append }: Playing) => {
    const answered = new Set<string>();
    const isNew = (key: string) => !answered.has(key) && answered.add(key);
    return async (state: State): Promise<void> => {
      const one = state.iterations.get(name);
      for (const { iteration, step, attempt, id } of openAttempts(state)) {
        if (iteration.name !== name || !isNew(formatAttemptOn(id, attempt.host))) continue;
        const data = { evidence: evidenceOf(iteration, step) as never, seconds: 1 };
        const head = { iteration: name, attempt: attempt.number };
        await say(attempt.host, stepEvent(step, 'Succeeded', head, data), how);
      }
      if (one && one.reviews.length > 0 && one.approvals.length === 0 && isNew('review'))
        for (const by of people) await command({ ...approves(by), iteration: name } as Command);
    };
  };
  const follow = async (
    name: string,
    isEnough: (state: State) => boolean,
    how: Playing,
    signal: AbortSignal,
  ): Promise<void> => {
    const enough = new AbortController();
    const answer = createAnswers(name, how);
    const reader = new EventLog(person, log.trust);
    const last = await reader.lastSequence();
    let state = initialState;
    const act = async () => {
      if (isEnough(state)) return enough.abort();
      await answer(state);
      if (isEnough(state)) enough.abort(); // an answer can be what was waited for
    };
    if (last === 0) await act();
    const onCut = () => {
      state = initialState;
    };
    await reader.follow({ signal: AbortSignal.any([enough.signal, signal]), onCut }, async (logged) => {
      state = evolve(state, logged);
      // What is in the log already may be answered in the log too.
      if (logged.sequence >= last && !enough.signal.aborted) await act();
    });
  };

  return {
    log,
    hosts,
    person,
    wire,
    said,
    read,
    say,
    sayAgain,
    command,
    /** Starts a coordinator, which ends with the fleet unless the test has stopped it before. */
    startCoordinator: async (options?: Parameters<typeof startCoordinator>[1]) => {
      const one = await startCoordinator(log, options);
      coordinators.push(one);
      return one;
    },
    /** Asks for the example plan under another name. */
    start: (iteration: string) => command(startOf(examplePlan((plan) => Object.assign(plan, { iteration })))),
    /** Lets hosts answer every request of an iteration, and people approve, until the log holds `isEnough`. */
    play: (iteration: string, isEnough: (state: State) => boolean, how: Playing = {}): Promise<void> => {
      const played = follow(iteration, isEnough, how, over.signal);
      playing.add(played);
      return played.finally(() => playing.delete(played));
    },
    /** Ends also what goes on where a test has thrown. */
    stop: async () => {
      over.abort();
      await Promise.allSettled([...playing, ...coordinators.map((one) => one.stop())]);
      await log.stop();
    },
  };
};
export type PlayedFleet = Awaited<ReturnType<typeof startPlayedFleet>>;
