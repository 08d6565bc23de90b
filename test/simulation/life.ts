import type { JournalDatabase } from '../../agents/runtime/journal/database.ts';
import type { Clock } from '../../agents/runtime/ports.ts';
import { killed, type Simulation } from './simulation.ts';

/** One run of a process, from its start to its kill. */
export interface Life {
  isAlive(): boolean;
  end(): void;
}

export const createLife = (): Life => {
  let isAlive = true;
  return {
    isAlive: () => isAlive,
    end() {
      isAlive = false;
    },
  };
};

/** The clock as one process sees it. Whatever waits for it when the process is killed waits for ever. */
export const clockOf = ({ time, wallClock }: Simulation, { isAlive }: Life): Clock => {
  const later = (ms: number, what: () => void) =>
    time.after(ms, () => {
      if (!isAlive()) return;
      what();
      time.settles();
    });
  return {
    now: wallClock,
    monotonicMs: () => time.now,
    pause: (ms, signal) =>
      new Promise<void>((resolve) => {
        if (signal?.aborted) return resolve();
        const end = () => {
          signal?.removeEventListener('abort', end);
          resolve();
          time.settles();
        };
        signal?.addEventListener('abort', end);
        later(ms, end);
      }),
    after(ms, what) {
      let isOn = true;
      later(ms, () => {
        if (isOn) what();
      });
      return () => {
        isOn = false;
      };
    },
    every(ms, what) {
      let isOn = true;
      const again = () => {
        if (!isOn) return;
        what();
        later(ms, again);
      };
      later(ms, again);
      return () => {
        isOn = false;
      };
    },
  };
};

/**
 * A journal's database as one process sees it: committed data stays, and a killed process writes no more.
 * @param boundary called where the process may be killed.
 */
export const databaseOf = (
  db: JournalDatabase,
  { isAlive }: Life,
  boundary: (name: string) => void,
): JournalDatabase => {
  const ofTheLiving = () => {
    if (!isAlive()) throw killed;
    return db;
  };
  return {
    statement: (sql) => ofTheLiving().statement(sql),
    values: (sql) => ofTheLiving().values(sql),
    inOneCommit(work) {
      const result = ofTheLiving().inOneCommit(work);
      boundary('committed');
      return result;
    },
    withoutSync: (work) => ofTheLiving().withoutSync(work),
    close: () => undefined,
  };
};
