import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FleetLogins, type NatsConfigOptions, natsConfig } from './nats-config.ts';
import { natsEnvironment, notInstalled, serverVersion } from './nats-version.ts';

export interface NatsServerOptions {
  /** Holds the server's config, log, ports file and JetStream's store. */
  folder: string;
  logins: FleetLogins;
  /** Default: a free one. */
  port?: number;
  /** Default: none. */
  tls?: NonNullable<NatsConfigOptions['tls']>;
  /** Default: `nats-server`, searched in PATH and in Debian's folder for it. */
  program?: string;
}

export interface NatsServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Settles when the server's present process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** Ends the server in order. */
  stop(): Promise<void>;
  /** Sends a signal and waits for the end. A SIGKILL is like a power cut for the process. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts it again with the same store and port; ends it first if it runs. */
  restart(): Promise<void>;
}

const readyWithinMs = 15_000;

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

/** Why the server did not come up, by its log, in one sentence. */
const whyNot = async (log: string, from: number): Promise<string> => {
  const text = (await readFile(log, 'utf8').catch(() => '')).slice(from);
  const taken = /listen tcp ([^ :]+:\d+): bind: address already in use/.exec(text);
  if (taken) return `nats-server can't listen on ${taken[1]}: another program does`;
  const last =
    text
      .trim()
      .split('\n')
      .at(-1)
      ?.replace(/^.*\[(?:FTL|ERR)\] /, '') || 'it said nothing';
  return `nats-server did not start: ${last}; its log is ${log}`;
};

/** Starts the server's program; what it prints goes to its log. */
const spawnServer = (program: string, config: string, log: string): ChildProcess => {
  const output = openSync(log, 'a', 0o600);
  const child = spawn(program, ['--config', config], {
    stdio: ['ignore', output, output],
    env: natsEnvironment,
  });
  closeSync(output);
  // A process that never began emits no exit; it is recognized by its missing pid.
  child.on('error', () => undefined);
  return child;
};

/**
 * Starts a private nats-server with JetStream as a child process, on 127.0.0.1; it is ready once this returns.
 * A free port is picked by the server itself, so nobody can take it in between.
 * @throws {Error} in one sentence, if nats-server is not installed, its port is taken, or it does not come up.
 */
export const startNatsServer = async (options: NatsServerOptions): Promise<NatsServer> => {
  const folder = resolve(options.folder);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { program = 'nats-server' } = options;
  const version = await serverVersion(program);
  const [config, running, log] = ['nats-server.conf', 'nats-running.conf', 'nats-server.log'].map((name) =>
    join(folder, name),
  ) as [string, string, string];

  const start = async (wantedPort: number) => {
    const text = natsConfig({
      host: '127.0.0.1',
      port: wantedPort,
      storeFolder: join(folder, 'store'),
      logins: options.logins,
      version,
      portsFolder: folder,
      pidFile: join(folder, 'nats-server.pid'),
      ...(options.tls && { tls: options.tls }),
    });
    // The server reads the second one, from which a keeper takes rights.
    for (const file of [config, running]) await writeFile(file, text, { mode: 0o600 });
    const from = (await readFile(log, 'utf8').catch(() => '')).length;
    const child = spawnServer(program, running, log);
    const { pid } = child;
    if (pid === undefined) throw new Error(notInstalled);
    const ended = once(child, 'exit').then(() => undefined);
    const portsFile = join(folder, `nats-server_${pid}.ports`);
    for (let waitedMs = 0; waitedMs < readyWithinMs && !hasEnded(child); waitedMs += 10) {
      const ready = (await readFile(log, 'utf8')).slice(from).includes('Server is ready');
      const ports = ready ? await readFile(portsFile, 'utf8').catch(() => '') : '';
      const port = /"(?:nats|tls):\/\/127\.0\.0\.1:(\d+)"/.exec(ports)?.[1];
      if (port !== undefined) return { child, pid, ended, port: Number(port), portsFile };
      await sleep(10);
    }
    const why = await whyNot(log, from);
    if (!hasEnded(child)) {
      child.kill('SIGKILL');
      await ended;
    }
    throw new Error(why);
  };

  let current = await start(options.port ?? -1);
  const { port } = current;
  const kill = async (signal: NodeJS.Signals) => {
    if (!hasEnded(current.child)) current.child.kill(signal);
    await current.ended;
    // The server removes this file itself, unless it was killed.
    await rm(current.portsFile, { force: true });
  };
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    get pid() {
      return current.pid;
    },
    get ended() {
      return current.ended;
    },
    stop: () => kill('SIGTERM'),
    kill,
    restart: async () => {
      await kill('SIGTERM');
      current = await start(port);
    },
  };
};
