import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectNats, type LogConnection } from '../../eventlog/connection/connect.ts';
import { failpoint } from '../../eventlog/failpoint.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { createOutputs } from '../../eventlog/live/output.ts';
import { presenceEveryMs } from '../../eventlog/live/presence.ts';
import { createSayOnce } from '../../eventlog/say-once.ts';
import { checkEvent, type KeptMessage } from '../../eventlog/signing/check-event.ts';
import { readDaemonKey } from '../../eventlog/signing/daemon-key.ts';
import { type Trust, trustNowOf, trustOf } from '../../eventlog/signing/trust.ts';
import { createRun } from '../../host/run.ts';
import type { AgentConfig } from '../../schemas/config.ts';
import type { NewEvent } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import { printableLines } from '../../schemas/printable.ts';
import { TrustFile } from '../../schemas/trust-file.ts';
import { createAttest } from './attest.ts';
import { createConnectedLog } from './connected-log.ts';
import { type CleanerOptions, createCleaner } from './disks/cleaner.ts';
import type { Keeping, KeepingTools } from './disks/kept.ts';
import { keptEffects } from './disks/kept-effects.ts';
import { createHostLoops, type HostLoops } from './host-loops.ts';
import { createInstalledPackage } from './installed-package.ts';
import type { Journal } from './journal/journal.ts';
import { lockJournal } from './journal/journal-lock.ts';
import { type JournalPlace, onceThereIsRoom, openJournal } from './journal/open-journal.ts';
import { createPresence } from './presence.ts';
import type { StepTable } from './run-step.ts';
import { systemClock as clock } from './system-clock.ts';
import { createSystemd } from './systemd.ts';
import { createTrouble } from './trouble.ts';
import { createWorkplace } from './workplace.ts';

/** What a role adds to the runtime: its steps, and what it knows about its host. */
export interface RoleParts<Config> {
  steps: StepTable<Config>;
  /** The package that the host runs, like `linux-fresnel-fourier 7.0-1`, for roles that have one. */
  installed?: (config: Config) => Promise<string | null>;
  /** The event that the host has to report unasked. This is called repeatedly; each subject is reported once. */
  report?: (config: Config) => Promise<NewEvent | undefined>;
  /** What grows on the host's disks with each iteration, and how much of it stays. */
  keeps?: (config: Config, tools: KeepingTools) => Keeping[];
  /** What the host lacks but can work without. It is reported once, when the agent starts. */
  missing?: (config: Config) => Promise<string | undefined>;
}

/**
 * Whom a host trusts, by its trust file: `trust` for requests, and `ownTrust` for its own events,
 * even if their key was revoked since.
 * @throws if the file does not have this host with its fleet and role.
 */
const trustedBy = ({
  trustFile,
  fleet,
  host,
  role,
}: AgentConfig): { trust: Trust; ownTrust: Trust; trustSha256: string } => {
  const known = readConfigFile(trustFile, TrustFile);
  const trust = trustNowOf(known);
  if (trust.fleet !== fleet)
    throw new Error(`${trustFile} is for fleet ${trust.fleet}, and the config says ${fleet}`);
  const own = trust.writers.get(host);
  if (own?.role !== role)
    throw new Error(
      `${trustFile} has ${own ? `${host} as a ${own.role}` : `no host ${host}`}, and the config says ${role}`,
    );
  return { trust, ownTrust: trustOf(known), trustSha256: sha256(readFileSync(trustFile)) };
};

/** What runs: the program's version, and the build that it was installed from, if it was installed. */
export interface AgentVersion {
  version: string;
  build?: string;
}

const stopWithinMs = 2_000;

/** Takes a host's journal for this process, and notes the boot. @throws if another process has the journal. */
const takeJournal = async (
  place: JournalPlace,
  bootId: string,
  say: (text: string) => void,
): Promise<{ journal: Journal; leave: () => void }> => {
  const unlock = await onceThereIsRoom(place, () => lockJournal(place.file));
  const journal = await openJournal(place, say);
  await onceThereIsRoom(place, () => journal.boots.note(bootId));
  const leave = () => {
    journal.close();
    unlock();
  };
  return { journal, leave };
};

/** What an agent needs before it does anything: its boot, its key, whom it trusts, and its journal, which it takes. */
const beginAs = async (config: AgentConfig, say: (text: string) => void, signal: AbortSignal) => {
  const { trust, ownTrust, trustSha256 } = trustedBy(config);
  const key = readDaemonKey(
    { ...config, pinnedIn: config.trustFile, writer: config.host, trust: ownTrust },
    say,
  );
  const boot = {
    bootId: readFileSync(config.bootIdFile, 'utf8').trim(),
    release: readFileSync(config.releaseFile, 'utf8').trim(),
  };
  mkdirSync(config.stateFolder, { recursive: true, mode: 0o700 });
  const journalFile = join(config.stateFolder, 'journal.db');
  const trouble = createTrouble(say);
  const place = { file: journalFile, trouble, clock, signal };
  return {
    trust,
    trustSha256,
    check: (message: KeptMessage) => checkEvent(trust, message),
    checkOwn: (message: KeptMessage) => checkEvent(ownTrust, message),
    key,
    boot,
    journalFile,
    trouble,
    ...(await takeJournal(place, boot.bootId, say)),
  };
};

/** What keeps this host's disks to its limits: those of its role, and its journal. */
const cleanerOf = <Config extends AgentConfig>(
  config: Config,
  keeps: NonNullable<RoleParts<Config>['keeps']>,
  { journal, say, signal }: Pick<CleanerOptions, 'journal' | 'say' | 'signal'>,
) => {
  const run = createRun(() => undefined, signal);
  const keepings = [...keeps(config, { run, signal }), keptEffects(journal, config.keep.effects)];
  return createCleaner({ journal, keepings, run, clock, say, signal });
};

/** Connects to the log's server and talks with the fleet's log, until `signal` fires. */
const talkWithLog = async (
  config: AgentConfig,
  loops: HostLoops,
  {
    say,
    signal,
    onConnected,
  }: { say: (text: string) => void; signal: AbortSignal; onConnected: (connection: LogConnection) => void },
): Promise<void> => {
  const connecting = createSayOnce(say);
  const connection = await connectNats({
    ...config.nats,
    keyFile: config.keyFile,
    name: config.host,
    wait: true,
    onTrouble: (sentence) => connecting.trouble(sentence),
    signal,
  });
  onConnected(connection);
  await loops.talk(createConnectedLog(connection, config));
};

/**
 * Sends what is unsent, and closes the connection. It does not wait for a log that does not answer: what is unsent is
 * in the journal. The flush tells the server that nobody listens any more; otherwise it would deliver the next request
 * to the leftover pull.
 */
const hangUp = async (
  loops: HostLoops,
  talking: Promise<void>,
  connected: () => LogConnection | undefined,
): Promise<void> => {
  const told = Promise.all([loops.drain(), talking]).then(() => connected()?.flush());
  const patience = new AbortController();
  await Promise.race([told.catch(() => undefined), clock.pause(stopWithinMs, patience.signal)]);
  patience.abort();
  await connected()?.close();
  await talking;
  await connected()?.close(); // it may have been made in the meantime
};

/**
 * Runs a host's agent until `signal` fires: requests from the log into the journal, steps from the journal into the
 * world, outcomes from the journal into the log. It also starts and works while the log can't be reached.
 * @throws {ReplacedAgent} if another agent, started later, has this host's identity.
 * @throws if another process has its journal, or the connection to the log was closed for good: then the agent has to
 * be started again.
 */
export const runAgent = async <Config extends AgentConfig>(
  config: Config,
  { steps, installed = async () => null, report, keeps = () => [], missing }: RoleParts<Config>,
  version: AgentVersion,
  signal: AbortSignal,
): Promise<void> => {
  const { fleet, host, role } = config;
  const say = (text: string) => process.stderr.write(`${printableLines(`${host}: ${text}`)}\n`);
  const self = await beginAs(config, say, signal);
  const { boot } = self;
  const ended = new AbortController();
  const ends = AbortSignal.any([signal, ended.signal]);
  const thePackage = createInstalledPackage(() => installed(config), { clock, say, signal: ends });
  const known = { role, ...boot, trustSha256: self.trustSha256 };
  const started = { ...version, ...known, package: await thePackage.look() };
  const lacks = await missing?.(config);
  if (lacks !== undefined) say(lacks);
  let connection: LogConnection | undefined;
  const shows = { fleet, host, key: self.key.key, connected: () => connection };
  const systemd = createSystemd(() => !connection?.isClosed(), ends);
  const loops = await createHostLoops({
    ...self,
    fleet,
    name: host,
    role,
    clock,
    workplace: createWorkplace(config.stateFolder),
    steps,
    host: config,
    attest: createAttest(self.key.key),
    started,
    cleaner: cleanerOf(config, keeps, { journal: self.journal, say, signal: ends }),
    report: report && (() => report(config)),
    outputOf: createOutputs({ ...shows, after: () => self.journal.outbox.last()?.seq ?? 0 }),
    onRunning: () => {
      thePackage.forget();
      systemd.status(loops.told().running ?? 'idle');
      present.soon();
    },
    say,
    failpoint: (name) => failpoint(host, name),
    signal: ends,
  });
  const tell = async () => {
    const known = { host, role, ...boot, package: await thePackage.seen() };
    return ends.aborted ? undefined : { ...known, ...loops.told() };
  };
  const present = createPresence({ ...self, ...shows, tell, clock, say });
  const stopPresenting = clock.every(presenceEveryMs, () => void present.regularly());
  let failure: unknown;
  const onConnected = (made: LogConnection) => {
    connection = made;
    void present.now();
  };
  const talking = talkWithLog(config, loops, { say, signal: ends, onConnected }).catch((error: unknown) => {
    if (!ends.aborted) failure = error;
    ended.abort(); // without the log for good the agent is useless, so it stops in an orderly way
  });
  systemd.ready('idle');
  try {
    await loops.work();
  } finally {
    systemd.stopping();
    ended.abort();
    stopPresenting();
    await hangUp(loops, talking, () => connection);
    self.leave();
  }
  if (failure !== undefined) throw failure;
};
