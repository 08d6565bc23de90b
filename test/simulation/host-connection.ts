import type { Journal } from '../../agents/runtime/journal/journal.ts';
import type { Handed, HandedMessage, HostLog } from '../../agents/runtime/ports.ts';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import type { Blob } from '../../eventlog/signing/put-aside.ts';
import { appendTo } from '../../eventlog/stream/event-log.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import type { Life } from './life.ts';
import type { SimulatedLog } from './simulated-log.ts';
import type { Simulation } from './simulation.ts';

/** A host's connection to the simulated log: what one process sees of it, and what happens to it. */
export interface HostConnection {
  log: HostLog;
  /** Whether it is there now. */
  isOpen(): boolean;
  /** It is made, or made again. */
  connect(): void;
  /** It is lost. */
  lose(): void;
}

/** So long a client waits for an answer. */
const answersWithinMs = 5_000;

const kept = ({ sequence, subject, bytes, signature = '' }: LoggedEvent): KeptMessage => ({
  sequence,
  subject,
  bytes,
  signature,
});

/** @param journal as one reads it from outside. */
export const createHostConnection = (
  sim: Simulation,
  server: SimulatedLog,
  host: string,
  { isAlive }: Life,
  { requests }: Pick<Journal, 'requests'>,
): HostConnection => {
  const { random, time } = sim;
  const listeners: (() => void)[] = [];
  /** The one that is there: another one each time that it is made. */
  let connected: { generation: number } | undefined;
  const isOpen = (mine: { generation: number } | undefined = connected) =>
    mine !== undefined && mine === connected && server.isUp && mine.generation === server.generation;

  /** What the server makes of a question; it may be lost on its way there, or the answer on its way back. */
  const ask = <Answer>(atServer: () => Answer, mayLose = false): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const mine = connected;
      const give = (ms: number, settle: () => void) =>
        time.after(ms, () => {
          if (!isAlive()) return;
          settle();
          time.settles();
        });
      const lost = () => give(answersWithinMs, () => reject(new Error('the log does not answer')));
      // A question that changes nothing is asked when it is answered.
      const there = mayLose ? random.between(1, 30) : random.between(2, 60);
      time.after(there, () => {
        if (!isAlive() && !mayLose) return;
        if (!isOpen(mine)) return lost();
        let answer: Answer;
        try {
          answer = atServer();
        } catch (error) {
          return give(0, () => reject(error));
        }
        if (!mayLose) {
          resolve(answer);
          return time.settles();
        }
        if (sim.faulty && random.chance(0.05)) return lost();
        const back = random.between(1, 30);
        time.after(back, () => {
          if (!isOpen(mine)) return lost();
          if (!isAlive()) return;
          resolve(answer);
          time.settles();
        });
      });
    });

  /** What is acked does not come again. */
  const isToBeNoted = ({ event, subject }: LoggedEvent) => {
    if (event.kind !== 'step') return;
    const isNoted =
      event.fact === 'Requested' ? requests.tries(event) !== undefined : requests.isSuperseded(event);
    if (!isNoted) sim.breaks('a request is acked once it is in the journal', subject);
  };
  const handed = (logged: LoggedEvent): HandedMessage => ({
    ...kept(logged),
    handed: server.handedTo(host),
    pending: server.pendingFor(host),
    async ack() {
      isToBeNoted(logged);
      // One that the server does not hear is a message that comes again.
      if (isOpen() && !(sim.faulty && random.chance(0.03))) server.ack(host, logged.sequence);
    },
    term: () => server.ack(host, logged.sequence),
  });

  /** Those that a pull waits for, besides messages. */
  const ended = new Set<() => void>();
  async function* pull(): AsyncGenerator<Handed> {
    const mine = connected;
    const waiting: LoggedEvent[] = [];
    let wake: () => void = () => undefined;
    server.listen(host, (logged) => {
      if (!isAlive()) return;
      waiting.push(logged);
      wake();
      time.settles();
    });
    ended.add(() => wake());
    let isTold = false;
    while (isOpen(mine)) {
      const next = waiting.shift();
      if (next) {
        isTold = false;
        sim.trace?.(`${host}: gets ${next.event.type}.${next.event.attempt}`);
        yield handed(next);
      } else if (!isTold) {
        isTold = true;
        yield 'nothing now';
      } else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  }
  const read = (subject: string) =>
    ask(() => {
      const found = server.newest(subject);
      return found && kept(found);
    });
  const putBlob = ({ sha256, bytes }: Blob) =>
    ask(() => void server.blobs.set(`${host}.${sha256}`, bytes), true);
  const log: HostLog = {
    isUp: () => isOpen(),
    isClosed: () => !isAlive(),
    onChange: (listen) => void listeners.push(listen),
    read,
    lastSequence: () => ask(() => server.last),
    readBlob: (writer, { sha256 }) =>
      ask(() => {
        const bytes = server.blobs.get(`${writer}.${sha256}`);
        return bytes ? { bytes } : { lacks: 'it is not there' };
      }),
    holdsBlob: ({ sha256 }) => ask(() => server.blobs.has(`${host}.${sha256}`)),
    putBlob,
    append: (sealed) =>
      appendTo(
        {
          putBlob: (_, blob) => putBlob(blob),
          publish: ({ subject, bytes }, expect) => ask(() => server.publish(subject, bytes, expect), true),
          read,
        },
        sealed,
      ),
    pull,
    explain: async (error) => error,
  };

  const changed = () => {
    for (const listen of listeners) listen();
    for (const end of ended) end();
    ended.clear();
    time.settles();
  };
  return {
    log,
    isOpen: () => isOpen(),
    connect() {
      connected = { generation: server.generation };
      changed();
    },
    lose() {
      if (!connected) return;
      connected = undefined;
      changed();
    },
  };
};
