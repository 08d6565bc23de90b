import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkout } from '../../deploy/checkout.ts';
import { sealEvent } from '../../eventlog/signing/seal.ts';
import { directGet } from '../../eventlog/stream/direct-get.ts';
import { appendEvent, EventLog } from '../../eventlog/stream/event-log.ts';
import { coordinator, personWriter } from '../../schemas/events.ts';
import { type LogServer, people } from '../log-server.ts';
import { planOf } from './played-iteration.ts';

/** A process that runs until it is told to end. */
export interface Daemon {
  pid: number;
  /** @throws if it has ended. */
  mustRun(): void;
  /** @throws if it does not end well. */
  stop(): Promise<void>;
}

/** Starts a program for Node. */
export const startProcess = (argv: readonly string[]): Daemon => {
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  let told = '';
  child.stderr.on('data', (chunk) => {
    told = (told + String(chunk)).slice(-4000);
  });
  const ended = once(child, 'exit');
  const mustBeWell = (code: unknown) => {
    if (code !== 0) throw new Error(`${argv[0]} ended with exit code ${code}: ${told}`);
  };
  return {
    pid: child.pid ?? 0,
    mustRun: () => mustBeWell(child.exitCode ?? 0),
    stop: async () => {
      child.kill('SIGTERM');
      const [code] = await ended;
      mustBeWell(code);
    },
  };
};

/** @param program a file of the bundle. @param config is written into the folder of the server. */
export const startDaemon = (program: string, server: LogServer, config: object): Daemon => {
  const configFile = join(server.folder, `${program.replaceAll('/', '-')}.json`);
  writeFileSync(configFile, JSON.stringify(config));
  return startProcess([join(checkout, 'dist', program), '--config', configFile]);
};

/** @param stateFolder where it keeps its copy of the log. */
export const startCoordinator = (server: LogServer, stateFolder: string): Daemon =>
  startDaemon('coordinator/main.js', server, {
    fleetFile: server.fleetFile,
    nats: { servers: [server.server.url] },
    keyFile: server.keyFile(coordinator),
    stateFolder,
  });

const [person] = people;

/**
 * Asks for an iteration whose plan is not the one that its hash names. The coordinator refuses it, and can do so only once
 * it has caught up with the log. @returns a function that waits for the answer.
 */
export const askInVain = async (server: LogServer, iteration: string): Promise<() => Promise<void>> => {
  const writer = personWriter(person);
  const connection = await server.connect(writer);
  const { fleet } = server.trust;
  const link = await new EventLog(connection, server.trust).lastOf(writer);
  if (link === 'unclear') throw new Error(`the last message of ${writer} is no event`);
  const data = { ...planOf(iteration, 'fresnel'), planSha256: '0'.repeat(64), by: person };
  const author = { fleet, name: writer, key: server.key(writer) };
  const event = { type: 'IterationStarted', iteration, attempt: 1, data };
  await appendEvent(connection, sealEvent(event, author, link, new Date().toISOString()));
  const subject = `ka.${fleet}.${coordinator}.${iteration}.IterationRefused.1`;
  return async () => {
    while (!(await directGet(connection, { subject }))) await sleep(5);
  };
};

/** The memory that a process has now, in MB. */
export const memoryOf = (pid: number): number => {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) / 1000;
};

/** The time that a process has used of the processors so far, in seconds, by all its threads. */
export const processorSecondsOf = (pid: number): number => {
  const nanoseconds = readdirSync(`/proc/${pid}/task`).map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
  );
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e9;
};
