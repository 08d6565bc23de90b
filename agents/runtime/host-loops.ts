import type { DiskUse } from '../../eventlog/live/presence.ts';
import type { DaemonKey } from '../../eventlog/signing/daemon-key.ts';
import { formatAttempt } from '../../schemas/attempt-id.ts';
import type { EventData, NewEvent } from '../../schemas/events.ts';
import type { Role } from '../../schemas/step-names.ts';
import type { Cleaner } from './disks/cleaner.ts';
import { createDurableWatch } from './durable-watch.ts';
import { createForkWatch } from './fork-watch.ts';
import type { KeptCheckpoint } from './journal/checkpoints.ts';
import { noRoomFor, onceThereIsRoom } from './journal/open-journal.ts';
import type { NotedRequest } from './journal/requests.ts';
import { createInStep } from './keep-in-step.ts';
import { createOutbox } from './outbox.ts';
import { createOwnSigning } from './own-signing.ts';
import type { CheckMessage, HostLog } from './ports.ts';
import { createReporting } from './reporting.ts';
import { runRequestLoop } from './request-loop.ts';
import type { RunOptions } from './run-request.ts';
import { createStart } from './start.ts';
import type { Trouble } from './trouble.ts';
import { createWorkLoop } from './work-loop.ts';

export interface HostLoopsOptions<Config>
  extends Omit<RunOptions<Config>, 'outbox' | 'onTrouble' | 'onNoRoom'> {
  fleet: string;
  name: string;
  role: Role;
  key: DaemonKey;
  /**
   * `check`: whether a message is its writer's, by the keys that are valid now. `checkOwn`: the same for this host's
   * own messages, even if their key was revoked since.
   */
  check: CheckMessage;
  checkOwn: CheckMessage;
  /** The journal's path, for messages to people. */
  journalFile: string;
  /** The data of an `AgentStarted`. */
  started: EventData['AgentStarted'];
  /** Returns what the host has to report unasked, for roles that have reports. */
  report: (() => Promise<NewEvent | undefined>) | undefined;
  onRunning: (request: NotedRequest | undefined) => void;
  trouble: Trouble;
  /** What keeps the host's disks to their limits, where anything does. */
  cleaner?: Cleaner;
  /** For the host's own log. */
  say: (text: string) => void;
  failpoint: (name: string) => void;
}

/**
 * A host's loops over its journal: requests go from the log into it, steps from it into the world, outcomes from it
 * into the log.
 */
export interface HostLoops {
  /** Runs the requests in the journal until the signal fires, with or without the log. */
  work(): Promise<void>;
  /**
   * Takes requests from the log and keeps the journal in step with it, until the signal fires.
   * @throws {ReplacedAgent} if another agent has this host's identity. @throws if the log can't be reached any more.
   */
  talk(log: HostLog): Promise<void>;
  /** Sends what is unsent. */
  drain(): Promise<void>;
  /** What the host's presences report about its work. */
  told(): {
    running: string | null;
    unsent: number;
    open: string[];
    position: number;
    checkpoint: KeptCheckpoint | undefined;
    trouble: string | null;
    disks: DiskUse[] | undefined;
  };
}

const reportEveryMs = 4_000;
/** How long an agent waits for the log, to compare its journal with it, before it works on without the log. */
const aloneAfterMs = 5_000;

const sayTrouble = (say: (text: string) => void) => (what: string, error: unknown) =>
  say(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : error}`);

/** Makes the parts of a host's loops, and connects them with each other. */
const createParts = async <Config>(
  options: HostLoopsOptions<Config>,
  connected: () => HostLog | undefined,
) => {
  const { fleet, name, journal, journalFile, clock, trouble, say, cleaner } = options;
  const whose = { fleet, host: name };
  const signing = createOwnSigning(journal, { ...whose, ...options.key });
  const durable = createDurableWatch(clock);
  const outbox = createOutbox({
    ...options,
    log: () => (inStep.maySend() ? connected() : undefined),
    writer: { fleet, name, keyFor: signing.keyFor },
    onTrouble: say,
    onDoubt: () => inStep.doubt(),
  });
  const start = createStart({ ...whose, journal, outbox, signing, started: options.started });
  const reporting = createReporting({
    ...whose,
    journal,
    outbox,
    report: options.report ?? (async () => undefined),
    isHeld: () => inStep.isHeld(),
    say,
  });
  const inStep = createInStep({
    ...options,
    ...whose,
    check: options.checkOwn,
    durable,
    outbox,
    report: reporting.find,
    hasStarted: start.isTold,
    setWorkAside: () => work.setAside(),
    onInStep: () => begin(),
  });
  const forks = createForkWatch(journal, trouble, (isForked) => {
    if (isForked) work.setAside();
    else work.wake();
  });
  const work = createWorkLoop({
    ...options,
    outbox,
    onTrouble: sayTrouble(say),
    isHeld: () => !start.isTold() || inStep.isHeld() || forks.isForked(),
    ...(cleaner && { clean: cleaner.clean }),
    onNoRoom: (error) => trouble.set('disk', error === null ? null : noRoomFor(journalFile, error)),
  });
  /**
   * Journals that this agent has started, and what there was to report, before any step's outcome; then lets the steps
   * begin.
   */
  const begin = () => {
    start.tell();
    reporting.put(reported);
    void outbox.drain();
    work.wake();
  };
  const reported = await reporting.find();
  return { durable, outbox, start, reporting, inStep, forks, work, begin };
};

/**
 * What a host does unasked while it works: it reports, and begins without the log if that can't be reached.
 * @returns a function that ends it.
 */
const keepGoing = <Config>(
  options: HostLoopsOptions<Config>,
  { start, reporting, inStep, begin }: Awaited<ReturnType<typeof createParts>>,
): (() => void) => {
  const { journal, journalFile, clock, trouble, signal } = options;
  const report = async () => {
    if (!start.isTold() || inStep.isHeld()) return;
    const event = await reporting.find();
    if (!signal.aborted) reporting.put(event);
  };
  // A host also works without the log. If its journal is empty, it has no work, and may have lost its journal. If its
  // journal is known to lack something or to contradict the log, it waits. Without the log nobody can know whether the
  // journal is an old copy, in which an open request may already have its outcome. Such a request is done again, each
  // effect after its probe. The comparison shows this once the log is back, and an outcome that differs from the log's
  // stops this host until a person looks.
  const beginAlone = () => {
    if (!start.isTold() && !inStep.isHeld() && journal.outbox.last())
      void onceThereIsRoom({ file: journalFile, trouble, clock, signal }, begin).catch(() => undefined);
  };
  const callOff = clock.after(aloneAfterMs, beginAlone);
  const endReports = options.report && clock.every(reportEveryMs, () => void report());
  return () => {
    callOff();
    endReports?.();
  };
};

/** Makes a host's loops. They begin with what there is to report, so that is looked up first. */
export const createHostLoops = async <Config>(options: HostLoopsOptions<Config>): Promise<HostLoops> => {
  const { name, journal, journalFile, clock, trouble, say, signal } = options;
  let log: HostLog | undefined;
  let running: NotedRequest | undefined;
  const onRunning = (request: NotedRequest | undefined) => {
    running = request;
    options.onRunning(request);
  };
  const parts = await createParts({ ...options, onRunning }, () => log);
  const { durable, outbox, inStep, forks, work } = parts;
  forks.look();
  return {
    async work() {
      const end = keepGoing(options, parts);
      try {
        await work.run();
      } finally {
        end();
      }
    },
    async talk(connected) {
      log = connected;
      const requests = runRequestLoop({
        ...options,
        host: name,
        log: connected,
        durable,
        onNoted: work.wake,
        onRefused: say,
        onCheckpoint: () => {
          forks.look();
          work.tidy();
        },
        mayTake: inStep.maySend,
        onceThereIsRoom: (note) => onceThereIsRoom({ file: journalFile, trouble, clock, signal }, note),
      });
      await Promise.all([requests, inStep.run(connected)]);
    },
    drain: outbox.drain,
    told: () => ({
      running: running ? formatAttempt(running) : null,
      unsent: outbox.waiting(),
      open: journal.requests.open().map(formatAttempt),
      position: inStep.position(),
      checkpoint: journal.checkpoints.last(),
      trouble: trouble.now(),
      disks: options.cleaner?.told(),
    }),
  };
};
