import { setTimeout as sleep } from 'node:timers/promises';
import type { LogConnection } from '../../eventlog/connect.ts';
import { explainLogError } from '../../eventlog/log-fault.ts';
import { compareWithLog, isReplaced } from './compare-with-log.ts';
import { JournalContradicted, ReplacedAgent } from './errors.ts';
import { createHostLog, type HostLog } from './host-log.ts';
import type { Journal } from './journal.ts';
import { isNoRoom } from './journal-schema.ts';
import { noRoomFor } from './open-journal.ts';
import type { Outbox } from './outbox.ts';
import { createRemadeWatch, lackTrouble, settleLack } from './take-back.ts';
import type { Trouble } from './trouble.ts';
import { watchConnection } from './watch-connection.ts';

const lookEveryMs = 500;
const askEveryMs = 2_000;
const compareEveryMs = 10_000;
/** So many of the last own events are looked for where a connection was made: what was on its way may hide a cut. */
const atConnection = 20;

export interface InStepOptions {
  fleet: string;
  host: string;
  /** The host's own. */
  publicKey: string;
  journal: Journal;
  journalFile: string;
  outbox: Outbox;
  trouble: Trouble;
  /** For the host's own log. */
  say: (text: string) => void;
  /** Whether this process has written its `AgentStarted`. */
  hasStarted: () => boolean;
  /** The journal is in step with the log: own events may be sent, and what was held may go on. */
  onInStep: () => void;
  signal: AbortSignal;
}

/** A journal and the log, kept in step. */
export interface InStep {
  /** Whether own events may be sent: the log was looked at since the connection was made. */
  maySend(): boolean;
  /** Whether steps have to wait: the journal lacks something, or the log contradicts it. */
  isHeld(): boolean;
  /** The sequence up to which the journal holds what was for the host: a coordinator that sees more acked hands it out again. */
  position(): number;
  /** The log is to be looked at before anything more is sent. */
  doubt(): void;
  /** Looks at the log again and again until the signal fires. @throws {ReplacedAgent} */
  run(connection: LogConnection): Promise<void>;
}

export const createInStep = (options: InStepOptions): InStep => {
  const { host, journal, outbox, trouble, signal } = options;
  let isCompared = false;
  const remade = createRemadeWatch();
  let contradicts = false;
  let told: string | undefined;
  const tell = (text: string) => {
    if (text !== told) options.say(text);
    told = text;
  };
  let doubts = 0;
  let [comparedAt, askedAt] = [0, 0];
  const lacks = () => journal.lacksFrom() !== undefined;
  const doubt = () => {
    doubts += 1;
    isCompared = false;
  };

  const compare = async (log: HostLog) => {
    const before = doubts;
    const atLeast = isCompared ? 1 : atConnection;
    await compareWithLog({ journal, outbox, log }, { hasStarted: options.hasStarted(), atLeast });
    comparedAt = askedAt = performance.now();
    contradicts = false;
    told = undefined;
    isCompared = before === doubts; // otherwise the connection was lost meanwhile
  };

  const look = async (log: HostLog) => {
    if (!isCompared || performance.now() - comparedAt > compareEveryMs) {
      await compare(log);
      if (!isCompared) return;
      trouble.set('journal', lacks() ? lackTrouble : null);
      options.onInStep();
    } else if (performance.now() - askedAt > askEveryMs) {
      askedAt = performance.now();
      if (await isReplaced({ journal, log })) await compare(log);
    }
    if (!lacks() || !(await settleLack({ host, journal, outbox, log }, remade))) return;
    remade.reset();
    trouble.set('journal', null);
    options.onInStep();
  };

  return {
    maySend: () => isCompared,
    isHeld: () => contradicts || lacks(),
    position: () => journal.lacksFrom() ?? journal.position(),
    doubt,
    async run(connection) {
      const watch = watchConnection(connection, doubt);
      const log = createHostLog(connection, watch, options);
      while (!signal.aborted && !connection.isClosed()) {
        try {
          if (watch.isUp()) await look(log);
        } catch (error) {
          if (signal.aborted || error instanceof ReplacedAgent) throw error;
          isCompared = false;
          if (error instanceof JournalContradicted) {
            contradicts = true;
            trouble.set('journal', error.message);
          } else if (isNoRoom(error)) trouble.set('disk', noRoomFor(options.journalFile, error));
          else if (watch.isUp()) {
            const why = await explainLogError(connection, error);
            tell(`the log can't be looked at: ${why instanceof Error ? why.message : why}`);
          }
        }
        await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
      }
    },
  };
};
