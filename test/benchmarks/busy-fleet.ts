import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { linkTo, type SealedEvent, sealEvent } from '../../eventlog/signing/seal.ts';
import { directGet } from '../../eventlog/stream/direct-get.ts';
import { appendEvent } from '../../eventlog/stream/event-log.ts';
import { followStream } from '../../eventlog/stream/follow-stream.ts';
import { eventStream } from '../../eventlog/stream/provision.ts';
import { noIteration, parseSubject, personWriter, type UntypedEvent } from '../../schemas/events.ts';
import { BoardKeeps } from '../../schemas/limits.ts';
import type { Role } from '../../schemas/step-names.ts';
import { type LogServer, people, startLogServer } from '../log-server.ts';
import { type Daemon, startCoordinator, startProcess } from './daemons.ts';
import { planOf, playIteration, writtenIn } from './played-iteration.ts';

/** An iteration of a busy fleet: its board, and the hosts that do the rest. */
export interface Underway {
  name: string;
  board: string;
  hosts: { builders: string[]; publisher: string; backup: string };
}

/** A message's place in time, by the server's clock, in milliseconds. */
export interface Stamp {
  iteration: string;
  type: string;
  at: number;
}

/** A fleet whose agents' steps do nothing, over a real server, with the real coordinator. */
export interface BusyFleet {
  /** Starts the iterations, and returns once all of them have closed. */
  carry(iterations: readonly Underway[]): Promise<void>;
  /** Everything that was written so far, in the log's order. */
  readonly stamps: readonly Stamp[];
  stop(): Promise<void>;
}

/** A person who starts iterations and approves whatever is asked for. */
const createPerson = async (server: LogServer, name: string) => {
  const writer = personWriter(name);
  const connection = await server.connect(writer);
  let last: SealedEvent | undefined;
  return (event: UntypedEvent) => {
    const author = { fleet: server.trust.fleet, name: writer, key: server.key(writer) };
    last = sealEvent(event, author, last && linkTo(last.seq, last.bytes), new Date().toISOString());
    return appendEvent(connection, last);
  };
};

/** What a person approves: the same in all iterations, but for the plan and the board. */
const createApprovals = ({ fleet }: LogServer, like: Underway) => {
  const played = writtenIn(playIteration(planOf(like.name, like.board, like.hosts), fleet));
  const approval = played.find(({ event }) => event.type === 'ReviewApproved')?.event;
  if (!approval) throw new Error('nobody approves a played iteration');
  return ({ name, board, hosts }: Underway, by: string): UntypedEvent => {
    const { planSha256 } = planOf(name, board, hosts);
    return { ...approval, iteration: name, data: { ...(approval.data as object), by, board, planSha256 } };
  };
};

/**
 * Starts all agents in one process, and returns once each has reported its start.
 * @param statesFolder holds their journals.
 */
const startAgents = async (
  server: LogServer,
  { workerFile, iterations, statesFolder }: BusyFleetOptions & { statesFolder: string },
): Promise<Daemon> => {
  const { fleet } = server.trust;
  const hosts = Object.entries(server.fleet.hosts);
  const configs = hosts.map(([host, { role }]) => ({
    ...{ role, fleet, host, nats: { servers: [server.server.url] } },
    ...{ keyFile: server.keyFile(host), trustFile: server.trustFile, stateFolder: join(statesFolder, host) },
    ...{ bootIdFile: '/proc/sys/kernel/random/boot_id', releaseFile: '/proc/sys/kernel/osrelease' },
    keep: BoardKeeps.parse({}), // what a board keeps besides its effects, these agents don't have
  }));
  const inputFile = join(server.folder, 'agents.json');
  writeFileSync(inputFile, JSON.stringify({ configs, iterations }));
  const agents = startProcess([workerFile, inputFile]);
  const connection = await server.connect('admin');
  for (const [host] of hosts) {
    const subject = `ka.${fleet}.${host}.${noIteration}.AgentStarted.>`;
    for (; !(await directGet(connection, { subject })); await sleep(20)) agents.mustRun();
  }
  return agents;
};

/** Follows the log, calls back with each message's place, and returns the function that ends it. */
const stampMessages = async (server: LogServer, onStamp: (stamp: Stamp) => void): Promise<() => void> => {
  const stop = new AbortController();
  const connection = await server.connect('admin');
  const following = followStream(
    connection,
    { stream: eventStream, from: 1, signal: stop.signal },
    async ({ subject, info }) => {
      const { iteration = '', type = '' } = parseSubject(subject) ?? {};
      onStamp({ iteration, type, at: info.timestampNanos / 1e6 });
      return 'more';
    },
  );
  following.catch(() => undefined); // the connection may be closed before it ends
  return () => stop.abort();
};

export interface BusyFleetOptions {
  /** The bundle of agents-worker.ts. */
  workerFile: string;
  /** The fleet has their hosts. */
  iterations: readonly Underway[];
  /**
   * Keep the journals in memory. Hosts have a disk each; here they share one, and hundreds of them would wait for it alone.
   */
  inMemory?: boolean;
}

export const startBusyFleet = async (options: BusyFleetOptions): Promise<BusyFleet> => {
  const { iterations } = options;
  const roles: Record<string, Role> = {};
  for (const { board, hosts } of iterations) {
    for (const builder of hosts.builders) roles[builder] = 'builder';
    Object.assign(roles, { [hosts.publisher]: 'publisher', [board]: 'board' });
  }
  const server = await startLogServer('busy', roles);
  const [first] = iterations;
  if (!first) throw new Error('a busy fleet has at least one iteration');
  const approvalOf = createApprovals(server, first);
  const statesFolder = mkdtempSync(join(options.inMemory ? '/dev/shm' : tmpdir(), 'ka-hosts-'));
  const persons = await Promise.all(people.map((name) => createPerson(server, name)));
  const known = new Map(iterations.map((one) => [one.name, one]));
  const stamps: Stamp[] = [];
  const left = new Set<string>();
  let onEnd: (why?: Error) => void = () => undefined;
  const stopStamping = await stampMessages(server, (stamp) => {
    stamps.push(stamp);
    const { iteration, type } = stamp;
    const one = known.get(iteration);
    if (type === 'ReviewRequested' && one)
      for (const [nth, say] of persons.entries()) void say(approvalOf(one, people[nth] ?? ''));
    if (!/^Iteration(Closed|Failed|Aborted|Refused)$/.test(type)) return;
    left.delete(iteration);
    if (type !== 'IterationClosed') onEnd(new Error(`${iteration} ended with ${type}`));
    else if (left.size === 0) onEnd();
  });
  const daemons: Daemon[] = [];
  /** The agents come last: nothing else is written while the coordinator accepts the first iterations. */
  const startDaemons = async (accepts: number) => {
    daemons.push(startCoordinator(server, join(server.folder, 'coordinator')));
    while (stamps.filter(({ type }) => type === 'IterationAccepted').length < accepts) await sleep(20);
    daemons.push(await startAgents(server, { ...options, statesFolder }));
  };
  return {
    stamps,
    carry: async (wanted) => {
      const ended = new Promise<void>((resolve, reject) => {
        onEnd = (why) => (why ? reject(why) : resolve());
      });
      for (const { name } of wanted) left.add(name);
      for (const { name, board, hosts } of wanted) {
        const data = { ...planOf(name, board, hosts), by: people[0] };
        await persons[0]?.({ type: 'IterationStarted', iteration: name, attempt: 1, data });
      }
      if (daemons.length === 0) await startDaemons(wanted.length);
      await ended;
    },
    stop: async () => {
      stopStamping();
      for (const daemon of daemons) await daemon.stop();
      await server.stop();
      rmSync(statesFolder, { recursive: true });
    },
  };
};
