import { rootOver } from '../../coordinator/daemon/log-view.ts';
import { evolve } from '../../coordinator/decider/evolve.ts';
import { initialState, type State } from '../../coordinator/decider/state.ts';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import type { SealedEvent } from '../../eventlog/signing/seal.ts';
import type { DurablePosition } from '../../eventlog/stream/durables.ts';
import { LogTree } from '../../eventlog/tree/log-tree.ts';
import { isPerson, type LoggedEvent } from '../../schemas/events.ts';
import type { StepName } from '../../schemas/step-names.ts';
import type { Beginning } from './beginning.ts';
import { readEvent } from './read-event.ts';
import type { Simulation } from './simulation.ts';

/** The state of a host's durable consumer in the server. */
interface Durable {
  /** The sequence up to which it has delivered. */
  position: number;
  unacked: Set<number>;
  /** How many messages it has delivered. */
  handed: number;
}

type HandOver = (logged: LoggedEvent) => void;

export interface SimulatedLog {
  readonly last: number;
  readonly isUp: boolean;
  /** Counts the server's starts: connections to an earlier one are lost. */
  readonly generation: number;
  /** How often the log has lost its tail. */
  readonly cuts: number;
  /** The state after that event. */
  stateAt(sequence: number): State;
  at(sequence: number): LoggedEvent | undefined;
  /** The root over its first `size` events, as a coordinator signs it. */
  rootOver(size: number): string;
  under(subject: string): LoggedEvent | undefined;
  /** The last event under a subject, or under all subjects that a wildcard at its end matches. */
  newest(subject: string): LoggedEvent | undefined;
  /** The blobs of events, by `<writer>.<sha256>`. */
  readonly blobs: Map<string, Uint8Array>;
  /** @returns the event's sequence, or where its subject or the log ends if that is not as expected. */
  publish(
    sealed: Pick<SealedEvent, 'subject' | 'bytes' | 'signature'>,
    expect: { lastSubjectSequence?: number; lastSequence?: number },
  ): { sequence: number } | { endsAt: number };
  onAppended(listen: () => void): void;
  /** Kills the server, which keeps what it has acknowledged. */
  stop(): void;
  start(): void;
  /** A power loss: events appended after `since` (of the clock) may never have reached the disk. */
  losePower(since: number): void;
  /** Sets the receiver of the host's messages; undefined once the host no longer listens. */
  listen(host: string, handOver: HandOver | undefined): void;
  ack(host: string, sequence: number): void;
  positionOf(host: string): DurablePosition | undefined;
  /** The first sequence after this one that holds a message for the host. */
  nextFor(host: string, after: number): number | undefined;
  /** How many messages the host's durable has delivered since it was made; `pendingFor` is how many are unacked. */
  handedTo(host: string): number;
  pendingFor(host: string): number;
  removeDurable(host: string): void;
  /** Makes the durable again, so that it delivers from that sequence on. */
  makeDurable(host: string, from: number): void;
}

const ackWithinMs = 30_000;

const isFor = ({ subject }: LoggedEvent): string | undefined => subject.split('.')[6];

/** An event as a message of the log. */
export const kept = ({ sequence, subject, bytes, signature = '' }: LoggedEvent): KeptMessage => ({
  sequence,
  subject,
  bytes,
  signature,
});

/** Reports two open attempts of one step, if there are any. */
const twiceOpen = (state: State, name: string, step: StepName): string | undefined => {
  const open = state.iterations.get(name)?.attempts[step].filter(({ status }) => status === 'open') ?? [];
  return open.length > 1 ? `${name} ${step}: ${open.map(({ number }) => number).join(' and ')}` : undefined;
};

/**
 * The stream and its durable consumers, with appends, power losses and deliveries. It begins with the events of
 * `begin`, which are on the disk and can't be lost.
 */
export const createSimulatedLog = (
  sim: Simulation,
  begin: Pick<Beginning, 'events' | 'states' | 'unacked'>,
  hosts: readonly string[],
): SimulatedLog => {
  const { random, time } = sim;
  const events = [...begin.events];
  const states = [...begin.states];
  const appendedAt = begin.events.map(() => Number.NEGATIVE_INFINITY);
  const subjects = new Map(events.map((logged) => [logged.subject, logged]));
  const listeners: (() => void)[] = [];
  const durables = new Map<string, Durable>(
    hosts.map((host) => [
      host,
      { position: events.length, unacked: new Set(begin.unacked.get(host)), handed: 0 },
    ]),
  );
  const listening = new Map<string, HandOver>();
  let isUp = true;
  let generation = 0;
  let cuts = 0;

  const deliver = (host: string, durable: Durable, sequence: number): void => {
    const late = sim.faulty && random.chance(0.1) ? random.below(20_000) : 0; // after later messages
    time.after(random.between(1, 40) + late, () => {
      if (durables.get(host) !== durable || !isUp || !durable.unacked.has(sequence)) return;
      const logged = events[sequence - 1];
      const handOver = listening.get(host);
      if (!logged || !handOver) return;
      durable.handed += 1;
      handOver(logged);
    });
    time.after(ackWithinMs, () => {
      if (durables.get(host) === durable && durable.unacked.has(sequence) && listening.has(host) && isUp)
        deliver(host, durable, sequence);
    });
  };
  const pump = (host: string): void => {
    const durable = durables.get(host);
    if (!durable || !listening.has(host) || !isUp) return;
    for (let sequence = durable.position + 1; sequence <= events.length; sequence += 1) {
      const logged = events[sequence - 1];
      if (!logged || isFor(logged) !== host) continue;
      durable.position = sequence;
      durable.unacked.add(sequence);
      deliver(host, durable, sequence);
      if (sim.faulty && random.chance(0.05)) deliver(host, durable, sequence); // twice
    }
  };

  const log: SimulatedLog = {
    get last() {
      return events.length;
    },
    get isUp() {
      return isUp;
    },
    get generation() {
      return generation;
    },
    get cuts() {
      return cuts;
    },
    stateAt: (sequence) => (sequence === 0 ? initialState : (states[sequence - 1] as State)),
    at: (sequence) => events[sequence - 1],
    rootOver(size) {
      const tree = new LogTree();
      for (const logged of events) tree.add(kept(logged));
      return rootOver(size, tree);
    },
    under: (subject) => subjects.get(subject),
    newest(subject) {
      const prefix = subject.replace(/[*>]$/, '');
      if (prefix === subject) return subjects.get(subject);
      return events.findLast((logged) => logged.subject.startsWith(prefix));
    },
    blobs: new Map(),
    publish({ subject, bytes, signature }, expect) {
      const there = subjects.get(subject);
      const subjectEndsAt = there?.sequence ?? 0;
      const { lastSubjectSequence = subjectEndsAt, lastSequence = events.length } = expect;
      if (subjectEndsAt !== lastSubjectSequence) return { endsAt: subjectEndsAt };
      if (lastSequence !== events.length) return { endsAt: events.length };
      if (there) sim.breaks('a subject holds one fact', `${subject} stands twice`);
      const logged: LoggedEvent = {
        sequence: events.length + 1,
        subject,
        bytes,
        signature,
        event: readEvent(bytes),
      };
      sim.trace?.(`log: ${logged.sequence} ${subject}`);
      const before = log.stateAt(events.length);
      const { source, writerseq, prevhash } = logged.event;
      const last = before.writers.get(source);
      // A person may restore a lost event after having written another one.
      if (!isPerson(source) && (writerseq !== (last?.seq ?? 0) + 1 || prevhash !== last?.hash))
        sim.breaks('each event of a daemon follows from its one before', `${subject} does not`);
      const state = evolve(before, logged);
      events.push(logged);
      states.push(state);
      appendedAt.push(time.now);
      subjects.set(subject, logged);
      const { event } = logged;
      if (event.kind === 'step' && event.fact === 'Requested') {
        const twice = twiceOpen(state, event.iteration, event.step);
        if (twice) sim.breaks('never two open attempts of one step', twice);
      }
      const host = isFor(logged);
      if (host !== undefined) pump(host);
      for (const listen of listeners) listen();
      return { sequence: logged.sequence };
    },
    onAppended: (listen) => void listeners.push(listen),
    stop() {
      isUp = false;
      generation += 1;
      listening.clear();
    },
    start() {
      isUp = true;
    },
    losePower(since) {
      log.stop();
      const kept = appendedAt.findIndex((at) => at > since);
      const left = kept === -1 ? events.length : random.between(kept, events.length);
      if (left === events.length) return;
      cuts += 1;
      sim.trace?.(`log: has lost ${left + 1} to ${events.length}`);
      for (const { subject } of events.splice(left)) subjects.delete(subject);
      states.length = left;
      appendedAt.length = left;
      for (const { unacked } of durables.values())
        for (const sequence of unacked) if (sequence > left) unacked.delete(sequence);
    },
    listen(host, handOver) {
      if (!handOver) return void listening.delete(host);
      listening.set(host, handOver);
      const durable = durables.get(host);
      if (!durable) return;
      for (const sequence of durable.unacked) deliver(host, durable, sequence);
      pump(host);
    },
    ack: (host, sequence) => void durables.get(host)?.unacked.delete(sequence),
    handedTo: (host) => durables.get(host)?.handed ?? 0,
    pendingFor: (host) => durables.get(host)?.unacked.size ?? 0,
    positionOf(host) {
      const durable = durables.get(host);
      if (!durable) return undefined;
      const { position, unacked } = durable;
      return {
        ackedUpTo: Math.min(position, ...[...unacked].map((one) => one - 1)),
        deliveredUpTo: position,
      };
    },
    nextFor: (host, after) => events.slice(after).find((logged) => isFor(logged) === host)?.sequence,
    removeDurable: (host) => void durables.delete(host),
    makeDurable(host, from) {
      sim.trace?.(`log: the durable of ${host} is made again from ${from}`);
      durables.set(host, { position: from - 1, unacked: new Set(), handed: 0 });
      pump(host);
    },
  };
  return log;
};
