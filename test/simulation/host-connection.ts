import type { Journal } from '../../agents/runtime/journal/journal.ts';
import type { Handed, HandedMessage, HostLog } from '../../agents/runtime/ports.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { type Connection, createConnection } from './connection.ts';
import type { Life } from './life.ts';
import { kept, type SimulatedLog } from './simulated-log.ts';
import type { Simulation } from './simulation.ts';
import { writerAt } from './writer-at.ts';

/** One process's connection from a host to the simulated log. */
export interface HostConnection extends Pick<Connection, 'connect' | 'lose'> {
  log: HostLog;
  /** Whether it is connected now. */
  isOpen(): boolean;
}

/** @param journal the host's journal, as read from outside the process. */
export const createHostConnection = (
  sim: Simulation,
  server: SimulatedLog,
  host: string,
  life: Life,
  { requests }: Pick<Journal, 'requests'>,
): HostConnection => {
  const { random, time } = sim;
  const { isAlive } = life;
  const connection = createConnection(sim, server, life);
  const { ask, isOpen } = connection;

  /** An acked message is not redelivered, so a request has to be noted by then. */
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
      // If the ack is lost, the server redelivers the message.
      if (isOpen() && !(sim.faulty && random.chance(0.03))) server.ack(host, logged.sequence);
    },
    term: () => server.ack(host, logged.sequence),
  });

  /** Wakes a waiting pull, if there is one. */
  let wake: () => void = () => undefined;
  connection.onChange(() => wake());
  async function* pull(): AsyncGenerator<Handed> {
    const mine = connection.session();
    const waiting: LoggedEvent[] = [];
    server.listen(host, (logged) => {
      if (!isAlive()) return;
      waiting.push(logged);
      wake();
      time.settles();
    });
    let isTold = false;
    while (mine && isOpen(mine)) {
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
  const { read, putBlob, holdsBlob, append } = writerAt(server, ask, host);
  const log: HostLog = {
    isUp: () => isOpen(),
    isClosed: () => !isAlive(),
    onChange: connection.onChange,
    read,
    lastSequence: () => ask(() => server.last),
    readBlob: (writer, { sha256 }) =>
      ask(() => {
        const bytes = server.blobs.get(`${writer}.${sha256}`);
        return bytes ? { bytes } : { lacks: 'it is not there' };
      }),
    holdsBlob,
    putBlob,
    append: (sealed) => append(sealed),
    pull,
    explain: async (error) => error,
  };
  return { log, isOpen: () => isOpen(), connect: connection.connect, lose: connection.lose };
};
