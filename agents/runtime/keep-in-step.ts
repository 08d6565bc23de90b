import { createSayOnce } from '../../eventlog/say-once.ts';
import type { BlobFault } from '../../eventlog/stream/blobs.ts';
import type { NewEvent } from '../../schemas/events.ts';
import { compareWithLog, isReplaced } from './compare-with-log.ts';
import type { DurableWatch } from './durable-watch.ts';
import { JournalContradicted, ReplacedAgent } from './errors.ts';
import type { Journal } from './journal/journal.ts';
import { isNoRoom } from './journal/no-room.ts';
import { noRoomFor } from './journal/open-journal.ts';
import type { Outbox } from './outbox.ts';
import { createOwnLog, type OwnLog } from './own-log.ts';
import type { CheckMessage, Clock, HostLog } from './ports.ts';
import { lackTrouble, settleLack } from './take-back.ts';
import type { Trouble } from './trouble.ts';
import { createWaiting } from './waiting.ts';

/** How often to look at the log while the journal is not in step with it. */
const lookEveryMs = 500;
/** How often to ask for a later agent of this host while there is work; otherwise each comparison is enough. */
const askEveryMs = 2_000;
const compareEveryMs = 10_000;
/**
 * How many of the last own events to look for after a connection was made: events that were on their way may hide a
 * cut.
 */
const atConnection = 20;

const contradictedBefore =
  'the log contradicted this journal when they were last compared: nothing is begun until they are compared again and agree';

export interface InStepOptions {
  fleet: string;
  host: string;
  /** Checks by the keys that the host trusts, including all its own keys, even revoked ones. */
  check: CheckMessage;
  journal: Journal;
  journalFile: string;
  outbox: Outbox;
  trouble: Trouble;
  durable: Pick<DurableWatch, 'hasHandedAll'>;
  clock: Clock;
  /** Returns what the host has to report unasked. */
  report: () => Promise<NewEvent | undefined>;
  /** Ends the running attempt without an outcome. @returns whether no attempt is running. */
  setWorkAside: () => boolean;
  /** For the host's own log. */
  say: (text: string) => void;
  /** Whether this process has written its `AgentStarted`. */
  hasStarted: () => boolean;
  /** Called when the journal is in step with the log: own events may be sent, and held work may go on. */
  onInStep: () => void;
  signal: AbortSignal;
}

/** A journal and the log, kept in step. */
export interface InStep {
  /** Whether own events may be sent: the journal was compared with the log since the connection was made. */
  maySend(): boolean;
  /** Whether steps have to wait: the journal lacks something, or the log contradicts it. */
  isHeld(): boolean;
  /**
   * The sequence up to which the journal holds what was for the host. If more is acked, the coordinator redelivers from
   * here.
   */
  position(): number;
  /** Asks for a comparison with the log before anything more is sent. */
  doubt(): void;
  /** Looks at the log repeatedly until the signal fires. @throws {ReplacedAgent} */
  run(log: HostLog): Promise<void>;
}

/** What holds up a host's work, or may. Each trouble is reported once, and again when it is over. */
const createHolds = ({ journal, journalFile, trouble, setWorkAside }: InStepOptions) => {
  let noRoom = false;
  let contradicts = journal.marks.isContradicted();
  if (contradicts) trouble.set('journal', contradictedBefore);
  const lacks = () => journal.marks.lacksFrom() !== undefined;
  const holds = {
    lacks,
    isHeld: () => contradicts || lacks(),
    /** Log and journal agree, and writes succeed. */
    over() {
      if (contradicts) journal.marks.noteNoContradiction();
      contradicts = false;
      if (noRoom) journal.marks.proveRoom();
      if (noRoom) trouble.set('disk', null);
      noRoom = false;
      trouble.set('journal', lacks() ? lackTrouble : null);
    },
    onError(error: unknown): void {
      if (isNoRoom(error)) {
        noRoom = true;
        trouble.set('disk', noRoomFor(journalFile, error));
      }
      if (!(error instanceof JournalContradicted)) return;
      contradicts = true;
      setWorkAside();
      trouble.set('journal', error.message);
      try {
        // Otherwise an agent that starts without the log would work on.
        if (!journal.marks.isContradicted()) journal.marks.noteContradiction();
      } catch (noted) {
        if (!isNoRoom(noted)) throw noted;
        holds.onError(noted);
      }
    },
    contradicts: () => contradicts,
  };
  return holds;
};

/** When the log was looked at, and whether the result still holds. */
const createLooks = ({ clock, journal }: InStepOptions) => {
  let isCompared = false;
  let doubts = 0;
  let [comparedAt, askedAt] = [0, 0];
  const since = (at: number) => clock.monotonicMs() - at;
  const askAfterMs = () => (journal.requests.next() ? askEveryMs : compareEveryMs);
  return {
    isCompared: () => isCompared,
    isDue: () => !isCompared || since(comparedAt) > compareEveryMs,
    mayBeReplaced: () => since(askedAt) > askAfterMs(),
    asked: () => {
      askedAt = clock.monotonicMs();
    },
    doubt: () => {
      doubts += 1;
      isCompared = false;
    },
    /** Compares. The result holds unless there is a doubt in the meantime. */
    async compare(work: () => Promise<void>) {
      const before = doubts;
      await work();
      comparedAt = askedAt = clock.monotonicMs();
      isCompared = before === doubts;
    },
    /** How long until something is due, if nothing happens before. */
    waitMs(isUp: boolean) {
      if (!isUp) return askEveryMs;
      if (!isCompared) return lookEveryMs;
      return Math.min(askAfterMs() - since(askedAt), compareEveryMs - since(comparedAt)) + 1;
    },
  };
};

export const createInStep = (options: InStepOptions): InStep => {
  const { journal, outbox, clock, signal, setWorkAside } = options;
  const holds = createHolds(options);
  const looks = createLooks(options);
  const looking = createSayOnce(options.say);
  const waiting = createWaiting(clock, signal);
  const puttingBack = createSayOnce(options.say);
  const onBlobFault = (fault: BlobFault) => puttingBack.trouble(fault);

  const compare = async (log: OwnLog) => {
    const isAside = holds.lacks() && setWorkAside();
    const atLeast = holds.contradicts() ? -1 : looks.isCompared() ? 1 : atConnection;
    await looks.compare(() =>
      compareWithLog({ journal, outbox, log, onBlobFault }, { hasStarted: options.hasStarted(), atLeast }),
    );
    if (isAside || !holds.lacks()) return;
    // An attempt that ran in the meantime may have journalled another outcome than the log has: look again without it.
    looks.doubt();
    setWorkAside();
    options.trouble.set('journal', lackTrouble);
  };

  const look = async (log: OwnLog) => {
    const isDue = looks.isDue();
    if (isDue) await compare(log);
    else if (looks.mayBeReplaced()) {
      looks.asked();
      if (await isReplaced({ journal, log })) await compare(log);
    }
    if (!looks.isCompared()) return;
    const isSettled = holds.lacks() && setWorkAside() && (await settleLack({ ...options, log }));
    looking.over();
    holds.over();
    if (isDue || isSettled) options.onInStep();
  };

  const onError = async (log: HostLog, error: unknown) => {
    looks.doubt();
    holds.onError(error);
    if (log.isUp() && !isNoRoom(error) && !(error instanceof JournalContradicted))
      looking.trouble(await log.explain(error), "the log can't be looked at: ");
  };

  return {
    maySend: looks.isCompared,
    isHeld: holds.isHeld,
    position: () => journal.marks.lacksFrom() ?? journal.marks.position(),
    doubt() {
      looks.doubt();
      waiting.wake();
    },
    async run(log) {
      log.onChange(() => {
        looks.doubt();
        waiting.wake();
      });
      const own = createOwnLog(log, options);
      while (!signal.aborted && !log.isClosed()) {
        try {
          if (log.isUp()) await look(own);
        } catch (error) {
          if (signal.aborted || error instanceof ReplacedAgent) throw error;
          await onError(log, error);
        }
        const isPressing = log.isUp() && holds.lacks();
        await waiting.wait(isPressing ? lookEveryMs : looks.waitMs(log.isUp()));
      }
    },
  };
};
