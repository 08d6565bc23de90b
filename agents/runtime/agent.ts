import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectNats } from '../../eventlog/connect.ts';
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
 * world, outcomes from the journal into the log. It works on while the log can't be reached.
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
  const readBoot = () => ({
    bootId: readFileSync(config.bootIdFile, 'utf8').trim(),
    release: readFileSync(config.releaseFile, 'utf8').trim(),
  });
  const boot = readBoot();
  journal.noteBoot(boot.bootId);

  const connection = await connectNats({ ...config.nats, name: host, wait: true });
  const outbox = createOutbox(journal, connection, { fleet, name: host, key }, (conflict) =>
    say(`${conflict.message}. The journal is an old copy, or another agent uses this host's key`),
  );
  outbox.put({
    type: 'AgentStarted',
    iteration: noIteration,
    attempt: outbox.nextSeq(),
    data: { role, version, ...boot, package: await installed(config) },
  });

  let running: NotedRequest | undefined;
  const runningNow = () => (running ? `${running.iteration} ${running.step} ${running.attempt}` : null);
  const systemd = createSystemd(() => true, signal);
  const work = createWorkLoop({
    journal,
    outbox,
    steps,
    host: config,
    stateFolder: config.stateFolder,
    outputOf: (request) => createOutputWriter(connection, { fleet, host, ...request }),
    onRunning: (request) => {
      running = request;
      systemd.status(runningNow() ?? 'idle');
      void present();
    },
    onTrouble: (what, error) =>
      say(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : error}`),
    signal,
  });

  const present = async () => {
    try {
      const time = new Date().toISOString();
      const known = { host, role, time, ...boot, package: await installed(config) };
      sayPresent(connection, fleet, { ...known, running: runningNow(), unsent: outbox.waiting() });
    } catch (error) {
      if (!signal.aborted) say(`presence: ${error instanceof Error ? error.message : error}`);
    }
  };
  const presence = setInterval(() => void present(), presenceEveryMs);
  const draining = setInterval(() => void outbox.drain(), drainEveryMs);
  await present();
  systemd.ready('idle');
  void runRequestLoop({
    connection,
    journal,
    fleet,
    host,
    role,
    keys: new Map([[coordinator, config.coordinatorKey]]),
    onNoted: (superseded) => work.wake(superseded),
    onRefused: say,
    signal,
  });
  try {
    await work.run();
  } finally {
    systemd.stopping();
    clearInterval(presence);
    clearInterval(draining);
    // A log that does not answer is not waited for: what is unsent is in the journal.
    const sent = outbox.drain().then(() => connection.drain());
    await Promise.race([sent.catch(() => undefined), sleep(stopWithinMs)]);
    await connection.close();
    journal.close();
  }
};
