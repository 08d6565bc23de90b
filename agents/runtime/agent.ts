import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectNats, type LogConnection } from '../../eventlog/connect.ts';
import { createOutputWriter } from '../../eventlog/output.ts';
import { presenceEveryMs, sayPresent } from '../../eventlog/presence.ts';
import { readWriterKey } from '../../eventlog/writer-key.ts';
import type { AgentConfig } from '../../schemas/config.ts';
import { coordinator, noIteration } from '../../schemas/events.ts';
import { Journal, type NotedRequest } from './journal.ts';
import { createOutbox } from './outbox.ts';
import { runRequestLoop } from './request-loop.ts';
import { createSystemd } from './systemd.ts';
import { createWorkLoop, type StepTable } from './work-loop.ts';

/** What a role adds to the runtime: its steps, and what its host runs. */
export interface RoleParts<Config> {
  steps: StepTable<Config>;
  /** The package that the host runs, like `linux-fresnel-fourier 7.0-1`, where that means something. */
  installed?: (config: Config) => Promise<string | null>;
}

const drainEveryMs = 1_000;
const stopWithinMs = 2_000;

/**
 * Runs a host's agent until `signal` fires: requests from the log into the journal, steps from the journal into the
 * world, outcomes from the journal into the log. It works on while the log can't be reached, from its start on.
 * @throws if the connection to the log was closed for good: the agent has to be started again.
 */
export const runAgent = async <Config extends AgentConfig>(
  config: Config,
  { steps, installed = async () => null }: RoleParts<Config>,
  version: string,
  signal: AbortSignal,
): Promise<void> => {
  const { fleet, host, role } = config;
  const say = (text: string) => process.stderr.write(`${host}: ${text}\n`);
  mkdirSync(config.stateFolder, { recursive: true, mode: 0o700 });
  const journal = new Journal(join(config.stateFolder, 'journal.db'));
  const key = readWriterKey(readFileSync(config.keyFile, 'utf8'));
  const boot = {
    bootId: readFileSync(config.bootIdFile, 'utf8').trim(),
    release: readFileSync(config.releaseFile, 'utf8').trim(),
  };
  journal.noteBoot(boot.bootId);

  /** What is installed, or null where nobody can say: a package database that is broken is a step's to mend. */
  const packageNow = () =>
    installed(config).catch((error: unknown) => {
      if (!signal.aborted)
        say(`which package is installed: ${error instanceof Error ? error.message : error}`);
      return null;
    });

  let connection: LogConnection | undefined;
  const outbox = createOutbox(journal, () => connection, { fleet, name: host, key }, say);
  outbox.put({
    type: 'AgentStarted',
    iteration: noIteration,
    attempt: outbox.nextSeq(),
    data: { role, version, ...boot, package: await packageNow() },
  });

  const ended = new AbortController();
  const ends = AbortSignal.any([signal, ended.signal]);
  let running: NotedRequest | undefined;
  const runningNow = () => (running ? `${running.iteration} ${running.step} ${running.attempt}` : null);
  const systemd = createSystemd(() => !connection?.isClosed(), ends);
  const work = createWorkLoop({
    journal,
    outbox,
    steps,
    host: config,
    stateFolder: config.stateFolder,
    outputOf: (request) => createOutputWriter(() => connection, { fleet, host, ...request }),
    onRunning: (request) => {
      running = request;
      systemd.status(runningNow() ?? 'idle');
      void present();
    },
    onTrouble: (what, error) =>
      say(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : error}`),
    signal: ends,
  });

  let presenting = false;
  const present = async () => {
    if (!connection || presenting) return;
    presenting = true;
    try {
      const time = new Date().toISOString();
      const known = { host, role, time, ...boot, package: await packageNow() };
      if (!ends.aborted)
        sayPresent(connection, fleet, { ...known, running: runningNow(), unsent: outbox.waiting() });
    } catch (error) {
      say(`presence: ${error instanceof Error ? error.message : error}`);
    } finally {
      presenting = false;
    }
  };
  const presence = setInterval(() => void present(), presenceEveryMs);
  const draining = setInterval(() => void outbox.drain(), drainEveryMs);

  const talk = async () => {
    connection = await connectNats({ ...config.nats, name: host, wait: true, signal: ends });
    void outbox.drain();
    void present();
    await runRequestLoop({
      connection,
      journal,
      fleet,
      host,
      role,
      keys: new Map([[coordinator, config.coordinatorKey]]),
      onNoted: (superseded) => work.wake(superseded),
      onRefused: say,
      signal: ends,
    });
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
    // A log that does not answer is not waited for: what is unsent is in the journal. The flush tells the server that
    // nobody listens any more, or it would hand the next request to the pull that is left.
    const told = Promise.all([outbox.drain(), talking]).then(() => connection?.flush());
    await Promise.race([told.catch(() => undefined), sleep(stopWithinMs, undefined, { ref: false })]);
    await connection?.close();
    await talking;
    await connection?.close(); // it may have come about meanwhile
    journal.close();
  }
  if (failure !== undefined) throw failure;
};
