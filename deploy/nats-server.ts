import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { NatsUser } from './nats-permissions.ts';

export interface NatsServerOptions {
  /** Holds the server's config, log, ports file and JetStream's store. */
  folder: string;
  /** Who may log in. Left out: anybody on this machine, with every right. */
  users?: readonly NatsUser[];
  /** Default: one that is free. */
  port?: number;
  /** Default: `nats-server`, looked for in PATH and where Debian keeps it. */
  program?: string;
}

export interface NatsServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Settles when the server's present process has ended, however that came. */
  readonly ended: Promise<void>;
  /** Ends the server in order. */
  stop(): Promise<void>;
  /** Sends a signal and waits for the end: SIGKILL is what a power cut of the process looks like. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts it again over the same store and on the same port, ending it first if it runs. */
  restart(): Promise<void>;
}

const readyWithinMs = 15_000;

const notInstalled = 'nats-server is not installed: install the package nats-server';

/** Debian keeps nats-server where only root's PATH looks. */
const environment = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` };

/** @throws {Error} if there is no nats-server. */
const serverVersion = async (program: string): Promise<{ major: number; minor: number }> => {
  const { stdout } = await promisify(execFile)(program, ['--version'], { env: environment }).catch(
    (error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? new Error(notInstalled, { cause: error }) : error;
    },
  );
  const found = /v(\d+)\.(\d+)\./.exec(stdout);
  if (!found) throw new Error(`nats-server --version says "${stdout.trim()}", which is no version`);
  return { major: Number(found[1]), minor: Number(found[2]) };
};

/** The server's config. Its language takes JSON; strings stay quoted, since a bare `$` begins a variable. */
const configText = (
  { folder, users }: NatsServerOptions,
  port: number,
  { major, minor }: { major: number; minor: number },
): string =>
  JSON.stringify(
    {
      host: '127.0.0.1',
      port,
      ports_file_dir: resolve(folder),
      jetstream: {
        store_dir: join(resolve(folder), 'store'),
        // Before 2.10 the server flushes every 60 s and there is nothing to set.
        ...(major > 2 || minor >= 10 ? { sync_interval: 'always' } : {}),
      },
      ...(users === undefined
        ? {}
        : {
            authorization: {
              users: users.map(({ publicKey, permissions }) => ({
                nkey: publicKey,
                ...(permissions && {
                  permissions: {
                    publish: { allow: permissions.publish },
                    subscribe: { allow: permissions.subscribe },
                  },
                }),
              })),
            },
          }),
    },
    null,
    2,
  );

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

/** What the log says of why the server did not come up, in one sentence. */
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
  const [config, log] = [join(folder, 'nats-server.conf'), join(folder, 'nats-server.log')];

  const start = async (wantedPort: number) => {
    await writeFile(config, configText(options, wantedPort, version), { mode: 0o600 });
    const from = (await readFile(log, 'utf8').catch(() => '')).length;
    const output = openSync(log, 'a', 0o600);
    const child = spawn(program, ['--config', config], {
      stdio: ['ignore', output, output],
      env: environment,
    });
    closeSync(output);
    // A process that never began has no exit: it is told apart by its missing pid.
    child.on('error', () => undefined);
    const { pid } = child;
    if (pid === undefined) throw new Error(notInstalled);
    const ended = once(child, 'exit').then(() => undefined);
    const portsFile = join(folder, `nats-server_${pid}.ports`);
    for (let waitedMs = 0; waitedMs < readyWithinMs && !hasEnded(child); waitedMs += 10) {
      const ready = (await readFile(log, 'utf8')).slice(from).includes('Server is ready');
      const ports = ready ? await readFile(portsFile, 'utf8').catch(() => '') : '';
      const port = /"nats:\/\/127\.0\.0\.1:(\d+)"/.exec(ports)?.[1];
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
    // The server removes it itself, unless it was killed.
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
