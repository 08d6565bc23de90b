import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { readConfigFile } from '../../../eventlog/files/config-file.ts';
import { Fleet } from '../../../schemas/fleet.ts';
import { fleetLogins } from '../../nats-config.ts';
import { startNatsServer } from '../../nats-server.ts';
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
  /** Starts again, on its port, whatever ends by itself, until `signal` fires; nats-server only while it has power. */
  watch(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

const lookEveryMs = 100;

/** Whom each host with an SSH server lets in. */
const visitors: Record<SshHost, readonly SandboxHost[]> = {
  boltzmann: ['hertz'],
  fermi: ['hertz'],
  hertz: ['boltzmann', 'fermi', 'fresnel'],
};

const startSshdOf = async (places: SandboxPlaces, host: SshHost, port?: number): Promise<Sshd> => {
  const keys = visitors[host].map((visitor) => readFile(`${places.sshKey(visitor)}.pub`, 'utf8'));
  const authorizedKeys = (await Promise.all(keys)).map((key) => key.trim());
  return startSshd({ folder: places.sshd(host), authorizedKeys, ...(port === undefined ? {} : { port }) });
};

/** The port that the file server has picked. */
const pickedPort = async ({ portFile, log }: SandboxPlaces): Promise<number> => {
  for (let waitedMs = 0; waitedMs < 15_000; waitedMs += 20) {
    const text = await readFile(portFile, 'utf8').catch(() => '');
    if (text !== '') return Number(text);
    await sleep(20);
  }
  throw new Error(`the file server did not start; see ${log('files')}`);
};

/**
 * Starts them all, on the fleet's own ports or on ports that are free.
 * @param onChange Told whenever one of them has started or ended.
 * @throws {Error} if one does not start; those that did are stopped.
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
    const sshds = new Map<SshHost, Sshd>();
    running.push(async () => void (await Promise.all([...sshds.values()].map((sshd) => sshd.stop()))));
    await Promise.all(
      sshHosts.map(async (host) => sshds.set(host, await startSshdOf(places, host, ports?.ssh[host]))),
    );

    let filesPort = ports?.files ?? 0;
    const folders = Object.entries(servedFolders(places)).map(([name, folder]) => `${name}=${folder}`);
    const argv = () =>
      nodeArgv(
        'deploy/local-fleet/servers/file-server-main.ts',
        '--port',
        String(filesPort),
        '--port-file',
        places.portFile,
        ...folders,
      );
    const files = keepProcess({ argv, logFile: places.log('files') }, onChange);
    running.push(() => files.stop());
    files.start();
    filesPort = await pickedPort(places);

    const restarts = new Map<string, number>();
    const again = async (name: string, start: () => Promise<void>) => {
      restarts.set(name, (restarts.get(name) ?? 0) + 1);
      // Its port may be taken for a moment; the next look tries once more.
      await start().catch((error: unknown) => console.error(error instanceof Error ? error.message : error));
      onChange();
    };
    const ssh = {} as Record<SshHost, { port: number; hostKey: string }>;
    for (const [host, { port, hostKey }] of sshds) ssh[host] = { port, hostKey };
    return {
      listen: { natsPort: nats.port, filesPort, ssh },
      natsUrl: nats.url,
      describe: () => [
        ...[
          ['nats-server', nats.pid] as const,
          ...[...sshds].map(([host, { pid }]) => [`sshd-${host}`, pid] as const),
        ].map(([name, pid]) => ({ name, process: identify(pid) ?? null, restarts: restarts.get(name) ?? 0 })),
        { name: 'files', process: files.identity ?? null, restarts: files.restarts },
      ],
      watch: async (signal) => {
        while (!signal.aborted) {
          await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
          if (signal.aborted) return;
          if (existsSync(places.power('nats').off)) {
            if (identify(nats.pid)) {
              await nats.kill('SIGKILL');
              onChange();
            }
          } else if (!identify(nats.pid)) await again('nats-server', () => nats.restart());
          for (const [host, { pid, port }] of sshds)
            if (!identify(pid))
              await again(
                `sshd-${host}`,
                async () => void sshds.set(host, await startSshdOf(places, host, port)),
              );
        }
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
};
