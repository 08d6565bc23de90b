import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectNats, type LogConnection } from '../../eventlog/connection/connect.ts';
import { failpoint } from '../../eventlog/failpoint.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { createOutputWriter } from '../../eventlog/live/output.ts';
import { presenceEveryMs, sayPresent } from '../../eventlog/live/presence.ts';
import { createSayOnce } from '../../eventlog/say-once.ts';
import { readDaemonKey } from '../../eventlog/signing/daemon-key.ts';
import { type Trust, trustIn, trustNow } from '../../eventlog/signing/trust.ts';
import { formatAttempt } from '../../schemas/attempt-id.ts';
import type { AgentConfig } from '../../schemas/config.ts';
import { type NewEvent, noIteration, subjectOf } from '../../schemas/events.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { printableLines } from '../../schemas/printable.ts';
import { createAttest } from './attest.ts';
import { lastStart } from './compare-with-log.ts';
import { createDurableWatch } from './durable-watch.ts';
import { startsOf } from './host-log.ts';
import { lockJournal } from './journal/journal-lock.ts';
import { noRoomFor, onceThereIsRoom, openJournal } from './journal/open-journal.ts';
import type { NotedRequest } from './journal/requests.ts';
import { createInStep } from './keep-in-step.ts';
import { createOutbox } from './outbox.ts';
import { createOwnSigning } from './own-signing.ts';
import { runRequestLoop } from './request-loop.ts';
import { createSystemd } from './systemd.ts';
import { createTrouble } from './trouble.ts';
import { createWorkLoop, type StepTable } from './work-loop.ts';

/** What a role adds to the runtime: its steps, and what its host runs. */
export interface RoleParts<Config> {
  steps: StepTable<Config>;
  /** The package that the host runs, like `linux-fresnel-fourier 7.0-1`, where that means something. */
  installed?: (config: Config) => Promise<string | null>;
  /** What the host has to tell of its own accord. It is asked again and again, and told once for each subject. */
  report?: (config: Config) => Promise<NewEvent | undefined>;
  /** What the host lacks, though it works without: said once, when the agent starts. */
  missing?: (config: Config) => Promise<string | undefined>;
}

/**
 * Whom a host trusts, by its own copy of the fleet's file: in what it is asked, and in what it has said itself, whatever
 * became of the key since.
 * @throws if that does not know this host as it is.
 */
const trustOf = ({ fleetFile, fleet, host, role }: AgentConfig): { trust: Trust; ownTrust: Trust } => {
  const known = readConfigFile(fleetFile, Fleet);
  const trust = trustNow(known);
  if (trust.fleet !== fleet)
    throw new Error(`${fleetFile} is of fleet ${trust.fleet}, and the config says ${fleet}`);
  const own = trust.writers.get(host);
  if (own?.role !== role)
    throw new Error(
      `${fleetFile} has ${own ? `${host} as a ${own.role}` : `no host ${host}`}, and the config says ${role}`,
    );
  return { trust, ownTrust: trustIn(known) };
};

const drainEveryMs = 1_000;
/** How old what a presence says of the installed package may be. */
const packageEveryMs = 20_000;
const stopWithinMs = 2_000;
/** So long an agent waits for the log to compare its journal with, before it works on without. */
const aloneAfterMs = 5_000;

/**
 * Runs a host's agent until `signal` fires: requests from the log into the journal, steps from the journal into the
 * world, outcomes from the journal into the log. It works on while the log can't be reached, from its start on.
 * @throws {ReplacedAgent} if another agent, started later, has this host's identity.
 * @throws if another process has its journal, or the connection to the log was closed for good: the agent has to be
 * started again.
 */
export const runAgent = async <Config extends AgentConfig>(
  config: Config,
  { steps, installed = async () => null, report = async () => undefined, missing }: RoleParts<Config>,
  version: string,
  signal: AbortSignal,
): Promise<void> => {
  const { fleet, host, role } = config;
  const say = (text: string) => process.stderr.write(`${printableLines(`${host}: ${text}`)}\n`);
  const [packaging, reporting, journalling, presenting, connecting] = [
    createSayOnce(say),
    createSayOnce(say),
    createSayOnce(say),
    createSayOnce(say),
    createSayOnce(say),
  ];
  const at = (name: string) => failpoint(host, name);
  const { trust, ownTrust } = trustOf(config);
  const ownKey = readDaemonKey({ ...config, writer: host, trust: ownTrust }, say);
  const boot = {
    bootId: readFileSync(config.bootIdFile, 'utf8').trim(),
    release: readFileSync(config.releaseFile, 'utf8').trim(),
  };
  mkdirSync(config.stateFolder, { recursive: true, mode: 0o700 });
  const journalFile = join(config.stateFolder, 'journal.db');
  const trouble = createTrouble(say);
  const unlock = await onceThereIsRoom(journalFile, trouble, signal, () => lockJournal(journalFile));
  const journal = await openJournal(journalFile, trouble, say, signal);
  await onceThereIsRoom(journalFile, trouble, signal, () => journal.boots.note(boot.bootId));

  /** What is installed, or null where nobody can say: a package database that is broken is a step's to mend. */
  const packageNow = async () => {
    try {
      const found = await installed(config);
      packaging.over();
      return found;
    } catch (error) {
      if (!signal.aborted) packaging.trouble(error, 'which package is installed: ');
      return null;
    }
  };

  const signing = createOwnSigning(journal, { fleet, host, ...ownKey });
  const ended = new AbortController();
  const ends = AbortSignal.any([signal, ended.signal]);
  let connection: LogConnection | undefined;
  const outbox = createOutbox({
    journal,
    connected: () => (inStep.maySend() ? connection : undefined),
    writer: { fleet, name: host, keyFor: signing.keyFor },
    onTrouble: say,
    onDoubt: () => inStep.doubt(),
    failpoint: at,
  });
  let hasStarted = false;
  const started = { role, version, ...boot, package: await packageNow() };
  const lacks = await missing?.(config);
  if (lacks !== undefined) say(lacks);
  const reportNow = async () => {
    try {
      const event = await report(config);
      reporting.over();
      return event;
    } catch (error) {
      reporting.trouble(error, 'what there is to report: ');
      return undefined;
    }
  };
  const putReport = (event: NewEvent | undefined) => {
    try {
      // Where the journal lacks something, the log may hold it already.
      if (event && !inStep.isHeld() && !journal.outbox.has(subjectOf(fleet, host, event))) outbox.put(event);
      journalling.over();
    } catch (error) {
      journalling.trouble(error, 'what there is to report is not journalled: '); // it is tried again
    }
  };
  const reported = await reportNow();
  /** Says that this agent has started, and what there is to report before any step's outcome; lets the steps begin. */
  const begin = () => {
    if (!hasStarted) {
      const rotation = signing.owed();
      if (rotation) outbox.put(rotation);
      outbox.put({
        type: 'AgentStarted',
        iteration: noIteration,
        attempt: lastStart(journal, startsOf(fleet, host)) + 1,
        data: started,
      });
    }
    hasStarted = true;
    putReport(reported);
    void outbox.drain();
    work.wake();
  };
  const durable = createDurableWatch();
  const inStep = createInStep({
    durable,
    fleet,
    host,
    trust: ownTrust,
    journal,
    journalFile,
    outbox,
    trouble,
    say,
    hasStarted: () => hasStarted,
    report: reportNow,
    setWorkAside: () => work.setAside(),
    onInStep: begin,
    signal: ends,
  });
  // A host works without the log as well. One whose journal holds nothing has no work, and may have lost its journal. One
  // that is known to lack something, or to be contradicted, waits. What nobody can know without the log is whether the
  // journal is an old copy: then what it holds open may have had its outcome. It is done again, each effect after its probe;
  // the log shows it when it is back, and an outcome that differs from the log's stops this host for a person to look.
  const alone = setTimeout(() => {
    if (!hasStarted && !inStep.isHeld() && journal.outbox.last())
      void onceThereIsRoom(journalFile, trouble, ends, begin).catch(() => undefined);
  }, aloneAfterMs);
  const tellReport = async () => {
    if (!hasStarted || inStep.isHeld()) return;
    const event = await reportNow();
    if (!ends.aborted) putReport(event);
  };
  /** A log that is not the one that this host knew is not worked for. */
  let isForked = false;
  const tellFork = () => {
    const fork = journal.checkpoints.fork();
    isForked = fork !== undefined;
    if (isForked) work.setAside();
    else work.wake();
    trouble.set(
      'log',
      fork ? `${fork.why}; nothing is begun until the log is restored: ka log restore` : null,
    );
  };
  let running: NotedRequest | undefined;
  /** A small board has more to do than to ask its package manager with each presence. */
  let lastPackage: { at: number; name: string | null } | undefined;
  const packageSeen = async () => {
    if (!lastPackage || performance.now() - lastPackage.at > packageEveryMs)
      lastPackage = { name: await packageNow(), at: performance.now() };
    return lastPackage.name;
  };
  const runningNow = () => (running ? formatAttempt(running) : null);
  const systemd = createSystemd(() => !connection?.isClosed(), ends);
  const work = createWorkLoop({
    journal,
    outbox,
    steps,
    host: config,
    attest: createAttest(ownKey.key),
    trust,
    stateFolder: config.stateFolder,
    outputOf: (request) => createOutputWriter(() => connection, { fleet, host, ...request }),
    onRunning: (request) => {
      running = request;
      lastPackage = undefined;
      systemd.status(runningNow() ?? 'idle');
      void present();
    },
    onTrouble: (what, error) =>
      say(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : error}`),
    isHeld: () => !hasStarted || inStep.isHeld() || isForked,
    onNoRoom: (error) => trouble.set('disk', error === null ? null : noRoomFor(journalFile, error)),
    failpoint: at,
    signal: ends,
  });

  let isPresenting = false;
  const present = async () => {
    if (!connection || isPresenting) return;
    isPresenting = true;
    try {
      const time = new Date().toISOString();
      const known = { host, role, time, ...boot, package: await packageSeen() };
      if (!ends.aborted)
        sayPresent(connection, fleet, {
          ...known,
          running: runningNow(),
          unsent: outbox.waiting(),
          open: journal.requests.open().map(formatAttempt),
          position: inStep.position(),
          checkpoint: journal.checkpoints.last(),
          trouble: trouble.now(),
        });
      presenting.over();
    } catch (error) {
      presenting.trouble(error, 'presence: ');
    } finally {
      isPresenting = false;
    }
  };
  tellFork();
  const presence = setInterval(() => void present(), presenceEveryMs);
  const draining = setInterval(() => {
    void tellReport();
    void outbox.drain();
  }, drainEveryMs);

  const talk = async () => {
    connection = await connectNats({
      ...config.nats,
      keyFile: config.keyFile,
      name: host,
      wait: true,
      onTrouble: (sentence) => connecting.trouble(sentence),
      signal: ends,
    });
    void present();
    const requests = runRequestLoop({
      connection,
      durable,
      journal,
      host,
      role,
      trust,
      onNoted: (superseded) => work.wake(superseded),
      onRefused: say,
      onCheckpoint: tellFork,
      mayTake: inStep.maySend,
      onceThereIsRoom: (work) => onceThereIsRoom(journalFile, trouble, ends, work),
      failpoint: at,
      signal: ends,
    });
    await Promise.all([requests, inStep.run(connection)]);
  };
  let failure: unknown;
  const talking = talk().catch((error: unknown) => {
    if (!ends.aborted) failure = error;
    ended.abort(); // without the log for good, the agent is no use: it stops in order
  });
  systemd.ready('idle');
  try {
    await work.run();
  } finally {
    systemd.stopping();
    ended.abort();
    clearInterval(presence);
    clearInterval(draining);
    clearTimeout(alone);
    // A log that does not answer is not waited for: what is unsent is in the journal. The flush tells the server that
    // nobody listens any more, or it would hand the next request to the pull that is left.
    const told = Promise.all([outbox.drain(), talking]).then(() => connection?.flush());
    await Promise.race([told.catch(() => undefined), sleep(stopWithinMs, undefined, { ref: false })]);
    await connection?.close();
    await talking;
    await connection?.close(); // it may have come about meanwhile
    journal.close();
    unlock();
  }
  if (failure !== undefined) throw failure;
};
