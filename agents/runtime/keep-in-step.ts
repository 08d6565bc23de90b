import { setTimeout as sleep } from 'node:timers/promises';
import type { LogConnection } from '../../eventlog/connection/connect.ts';
import { createSayOnce } from '../../eventlog/say-once.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { explainLogError } from '../../eventlog/stream/log-fault.ts';
import type { NewEvent } from '../../schemas/events.ts';
import { compareWithLog, isReplaced } from './compare-with-log.ts';
import type { DurableWatch } from './durable-watch.ts';
import { JournalContradicted, ReplacedAgent } from './errors.ts';
import { createHostLog, type HostLog } from './host-log.ts';
import type { Journal } from './journal/journal.ts';
import { isNoRoom } from './journal/no-room.ts';
import { noRoomFor } from './journal/open-journal.ts';
import type { Outbox } from './outbox.ts';
import { lackTrouble, settleLack } from './take-back.ts';
import type { Trouble } from './trouble.ts';
import { watchConnection } from './watch-connection.ts';

const lookEveryMs = 500;
const askEveryMs = 2_000;
const compareEveryMs = 10_000;
/** So many of the last own events are looked for where a connection was made: what was on its way may hide a cut. */
const atConnection = 20;

const contradictedBefore =
  'the log held something else than this journal when they were last compared: nothing is begun until they are compared again, and agree';

export interface InStepOptions {
  fleet: string;
  host: string;
  trust: Trust;
  journal: Journal;
  journalFile: string;
  outbox: Outbox;
  trouble: Trouble;
  durable: Pick<DurableWatch, 'hasHandedAll'>;
  /** What the host has to tell of its own accord. */
  report: () => Promise<NewEvent | undefined>;
  /** Ends the attempt that runs, without an outcome. Says whether none runs any more. */
  setWorkAside: () => boolean;
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
  let noRoom = false;
  let contradicts = journal.marks.isContradicted();
  if (contradicts) trouble.set('journal', contradictedBefore);
  const looking = createSayOnce(options.say);
  let doubts = 0;
  let [comparedAt, askedAt] = [0, 0];
  const lacks = () => journal.marks.lacksFrom() !== undefined;
  const doubt = () => {
    doubts += 1;
    isCompared = false;
  };

  const compare = async (log: HostLog) => {
    const before = doubts;
    const isAside = lacks() && options.setWorkAside();
    const atLeast = contradicts ? -1 : isCompared ? 1 : atConnection;
    await compareWithLog({ journal, outbox, log }, { hasStarted: options.hasStarted(), atLeast });
    comparedAt = askedAt = performance.now();
    isCompared = before === doubts; // otherwise the connection was lost meanwhile
    if (isAside || !lacks()) return;
    // An attempt that ran meanwhile may have journalled an outcome where the log has another: look again without it.
    isCompared = false;
    options.setWorkAside();
    trouble.set('journal', lackTrouble);
  };

  const look = async (log: HostLog) => {
    const isDue = !isCompared || performance.now() - comparedAt > compareEveryMs;
    if (isDue) await compare(log);
    else if (performance.now() - askedAt > askEveryMs) {
      askedAt = performance.now();
      if (await isReplaced({ journal, log })) await compare(log);
    }
    if (!isCompared) return;
    const isSettled =
      lacks() &&
      options.setWorkAside() &&
      (await settleLack({ host, journal, outbox, log, durable: options.durable, report: options.report }));
    if (contradicts) journal.marks.noteNoContradiction();
    contradicts = false;
    looking.over();
    if (noRoom) journal.marks.proveRoom();
    if (noRoom) trouble.set('disk', null);
    noRoom = false;
    trouble.set('journal', lacks() ? lackTrouble : null);
    if (isDue || isSettled) options.onInStep();
  };

  const onError = (error: unknown) => {
    isCompared = false;
    if (isNoRoom(error)) {
      noRoom = true;
      trouble.set('disk', noRoomFor(options.journalFile, error));
    }
    if (!(error instanceof JournalContradicted)) return;
    contradicts = true;
    options.setWorkAside();
    trouble.set('journal', error.message);
    try {
      // A start without the log would work on otherwise.
      if (!journal.marks.isContradicted()) journal.marks.noteContradiction();
    } catch (noted) {
      if (!isNoRoom(noted)) throw noted;
      onError(noted);
    }
  };

  return {
    maySend: () => isCompared,
    isHeld: () => contradicts || lacks(),
    position: () => journal.marks.lacksFrom() ?? journal.marks.position(),
    doubt,
    async run(connection) {
      const watch = watchConnection(connection, doubt);
      const log = createHostLog(connection, watch, options);
      while (!signal.aborted && !connection.isClosed()) {
        try {
          if (watch.isUp()) await look(log);
        } catch (error) {
          if (signal.aborted || error instanceof ReplacedAgent) throw error;
          onError(error);
          if (watch.isUp() && !isNoRoom(error) && !(error instanceof JournalContradicted)) {
            looking.trouble(
              await explainLogError(connection, error, log.subjectOfNothing),
              "the log can't be looked at: ",
            );
          }
        }
        await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
      }
    },
  };
};
