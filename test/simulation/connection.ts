import type { Life } from './life.ts';
import type { SimulatedLog } from './simulated-log.ts';
import type { Simulation } from './simulation.ts';

/** One time that the connection was made. */
interface Session {
  generation: number;
}

/** A process's connection to the simulated server: what is asked over it, and what happens to it. */
export interface Connection {
  /** What is there now; undefined while it is lost. */
  session(): Session | undefined;
  /** Whether this session is there still; without one, whether any is. */
  isOpen(session?: Session): boolean;
  /**
   * What the server makes of a question; it may be lost on its way there, or the answer on its way back. Never settles for a
   * process that was killed meanwhile.
   * @param changes whether the question changes something: then it counts when it arrives, and its answer may be lost.
   */
  ask<Answer>(atServer: () => Answer, changes?: boolean): Promise<Answer>;
  /** `listen` is told each time that it was lost, or made again. */
  onChange(listen: () => void): void;
  /** It is made, or made again. */
  connect(): void;
  lose(): void;
}

/** So long a client waits for an answer. */
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
        // A question that changes nothing is asked when it is answered.
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
