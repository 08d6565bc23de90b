import type { Life } from './life.ts';
import type { SimulatedLog } from './simulated-log.ts';
import type { Simulation } from './simulation.ts';

/** The connection from one connect to its loss. */
interface Session {
  generation: number;
}

/** A process's connection to the simulated server. */
export interface Connection {
  /** The present session; undefined while the connection is lost. */
  session(): Session | undefined;
  /** Whether this session still exists; without an argument, whether any does. */
  isOpen(session?: Session): boolean;
  /**
   * Asks the server. The question or its answer may be lost. Never settles for a process that was killed meanwhile.
   * @param changes whether the question changes something: then it takes effect when it arrives, even if its answer is
   * lost.
   */
  ask<Answer>(atServer: () => Answer, changes?: boolean): Promise<Answer>;
  /** Calls `listen` each time that the connection is lost or made again. */
  onChange(listen: () => void): void;
  /** Makes the connection, or makes it again. */
  connect(): void;
  lose(): void;
}

/** How long a client waits for an answer. */
const answersWithinMs = 5_000;

export const createConnection = (
  sim: Simulation,
  server: Pick<SimulatedLog, 'isUp' | 'generation'>,
  { isAlive }: Life,
): Connection => {
  const { random, time } = sim;
  const listeners: (() => void)[] = [];
  let session: Session | undefined;
  const isOpen = (mine = session) =>
    mine !== undefined && mine === session && server.isUp && mine.generation === server.generation;
  const changed = () => {
    for (const listen of listeners) listen();
    time.settles();
  };
  return {
    session: () => session,
    isOpen,
    ask: <Answer>(atServer: () => Answer, changes = false) =>
      new Promise<Answer>((resolve, reject) => {
        const mine = session;
        const give = (ms: number, settle: () => void) =>
          time.after(ms, () => {
            if (!isAlive()) return;
            settle();
            time.settles();
          });
        const lost = () => give(answersWithinMs, () => reject(new Error('the log does not answer')));
        // A question that changes nothing may be evaluated when it is answered.
        const there = changes ? random.between(1, 30) : random.between(2, 60);
        time.after(there, () => {
          if (!isAlive() && !changes) return;
          if (!mine || !isOpen(mine)) return lost();
          let answer: Answer;
          try {
            answer = atServer();
          } catch (error) {
            return give(0, () => reject(error));
          }
          if (!changes) {
            resolve(answer);
            return time.settles();
          }
          if (sim.faulty && random.chance(0.05)) return lost();
          time.after(random.between(1, 30), () => {
            if (!isOpen(mine)) return lost();
            if (!isAlive()) return;
            resolve(answer);
            time.settles();
          });
        });
      }),
    onChange: (listen) => void listeners.push(listen),
    connect() {
      session = { generation: server.generation };
      changed();
    },
    lose() {
      if (!session) return;
      session = undefined;
      changed();
    },
  };
};
