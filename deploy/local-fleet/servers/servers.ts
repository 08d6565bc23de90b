import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { readConfigFile } from '../../../eventlog/files/config-file.ts';
import { Fleet } from '../../../schemas/fleet.ts';
import { fleetLogins } from '../../nats-config.ts';
import { type NatsServer, startNatsServer } from '../../nats-server.ts';
import { type SandboxHost, type SandboxPlaces, type SshHost, sshHosts } from '../../places/sandbox-places.ts';
import { keepProcess } from '../../processes/kept-process.ts';
import { nodeArgv } from '../../processes/node-argv.ts';
import { identify } from '../../processes/process-identity.ts';
import { type Sshd, startSshd } from '../../sshd.ts';
import type { SandboxServers } from '../configs.ts';
import type { SandboxFacts } from '../sandbox-facts.ts';
import type { SupervisorState } from '../sandbox-state.ts';
import { servedFolders } from './served-folders.ts';

/** The servers of a sandbox: nats-server, an sshd for each host that others reach, the file server. */
export interface RunningServers {
  listen: SandboxServers;
  natsUrl: string;
  describe(): SupervisorState['processes'];
  /**
   * Restarts every server that ends by itself, on its port, until `signal` fires; nats-server only while it has power.
   */
  watch(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

const lookEveryMs = 100;

/** The hosts that each host with an SSH server lets in. */
const visitors: Record<SshHost, readonly SandboxHost[]> = {
  boltzmann: ['hertz'],
  fermi: ['hertz'],
  hertz: ['boltzmann', 'fermi', 'fresnel'],
};

/** A server that is restarted, on its port, after it has ended by itself. */
interface WatchedServer {
  name: string;
  restarts: number;
  pid(): number;
  restart(): Promise<void>;
}

const startSshdOf = async (places: SandboxPlaces, host: SshHost, port?: number): Promise<Sshd> => {
  const keys = visitors[host].map((visitor) => readFile(`${places.sshKey(visitor)}.pub`, 'utf8'));
  const authorizedKeys = (await Promise.all(keys)).map((key) => key.trim());
  return startSshd({ folder: places.sshd(host), authorizedKeys, ...(port === undefined ? {} : { port }) });
};

/** Starts an sshd for a host that others reach. */
const startWatchedSshd = async (places: SandboxPlaces, host: SshHost, wantedPort?: number) => {
  let sshd = await startSshdOf(places, host, wantedPort);
  const { port, hostKey } = sshd;
  const watched: WatchedServer = {
    name: `sshd-${host}`,
    restarts: 0,
    pid: () => sshd.pid,
    restart: async () => {
      sshd = await startSshdOf(places, host, port);
    },
  };
  return { host, listen: { port, hostKey }, watched, stop: () => sshd.stop() };
};

/** Starts all sshds. @throws {Error} if one does not start; the others are stopped then. */
const startSshds = async (places: SandboxPlaces, ports: SandboxFacts['ports']) => {
  const starting = sshHosts.map((host) => startWatchedSshd(places, host, ports?.ssh[host]));
  const stop = async () => {
    const started = await Promise.allSettled(starting);
    await Promise.all(started.map((each) => (each.status === 'fulfilled' ? each.value.stop() : undefined)));
  };
  try {
    const sshds = await Promise.all(starting);
    const listen = Object.fromEntries(sshds.map((each) => [each.host, each.listen]));
    return { listen: listen as SandboxServers['ssh'], watched: sshds.map(({ watched }) => watched), stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

/** Waits for the port that the file server has chosen. */
const pickedPort = async ({ portFile, log }: SandboxPlaces): Promise<number> => {
  for (let waitedMs = 0; waitedMs < 15_000; waitedMs += 20) {
    const text = await readFile(portFile, 'utf8').catch(() => '');
    if (text !== '') return Number(text);
    await sleep(20);
  }
  throw new Error(`the file server did not start; see ${log('files')}`);
};

/** Starts the file server, a separate process that keeps the port of its first start. */
const startFiles = async (places: SandboxPlaces, wantedPort: number, onChange: () => void) => {
  let port = wantedPort;
  const folders = Object.entries(servedFolders(places)).map(([name, folder]) => `${name}=${folder}`);
  const options = () => ['--port', String(port), '--port-file', places.portFile];
  const argv = () => nodeArgv('deploy/local-fleet/servers/file-server-main.ts', ...options(), ...folders);
  const files = keepProcess({ argv, logFile: places.log('files') }, onChange);
  files.start();
  try {
    port = await pickedPort(places);
  } catch (error) {
    await files.stop();
    throw error;
  }
  return { port, files };
};

/** Restarts a server if it has ended. */
const lookAfter = async (server: WatchedServer, onChange: () => void): Promise<void> => {
  if (identify(server.pid())) return;
  server.restarts += 1;
  // Its port may be taken for a moment; the next look tries again.
  await server
    .restart()
    .catch((error: unknown) => console.error(error instanceof Error ? error.message : error));
  onChange();
};

/** Kills nats-server while its power is off. */
const withoutPower = async (nats: NatsServer, onChange: () => void): Promise<void> => {
  if (!identify(nats.pid)) return;
  await nats.kill('SIGKILL');
  onChange();
};

/**
 * Starts all servers, on the fleet's fixed ports or on free ones.
 * @param onChange called whenever one of them has started or ended.
 * @throws {Error} if one does not start; the others are stopped then.
 */
export const startServers = async (
  places: SandboxPlaces,
  { ports }: Pick<SandboxFacts, 'ports'>,
  onChange: () => void,
): Promise<RunningServers> => {
  const running: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const end of running.splice(0)) await end();
  };
  try {
    const logins = fleetLogins(readConfigFile(places.fleetFile, Fleet));
    const nats = await startNatsServer({ folder: places.nats, logins, ...(ports && { port: ports.nats }) });
    running.push(() => nats.stop());
    const sshds = await startSshds(places, ports);
    running.push(sshds.stop);
    const { port: filesPort, files } = await startFiles(places, ports?.files ?? 0, onChange);
    running.push(() => files.stop());
    const log: WatchedServer = {
      name: 'nats-server',
      restarts: 0,
      pid: () => nats.pid,
      restart: () => nats.restart(),
    };
    return {
      listen: { natsPort: nats.port, filesPort, ssh: sshds.listen },
      natsUrl: nats.url,
      describe: () => [
        ...[log, ...sshds.watched].map(({ name, restarts, pid }) => ({
          name,
          process: identify(pid()) ?? null,
          restarts,
        })),
        { name: 'files', process: files.identity ?? null, restarts: files.restarts },
      ],
      watch: async (signal) => {
        while (!signal.aborted) {
          await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
          if (signal.aborted) return;
          if (existsSync(places.power('nats').off)) await withoutPower(nats, onChange);
          else await lookAfter(log, onChange);
          for (const each of sshds.watched) await lookAfter(each, onChange);
        }
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
};
