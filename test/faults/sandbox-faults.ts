import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { readState, type SupervisorState } from '../../deploy/local-fleet/sandbox-state.ts';
import type { SandboxHost, SandboxPlaces } from '../../deploy/places/sandbox-places.ts';
import { isRunning, type ProcessIdentity, signal } from '../../deploy/processes/process-identity.ts';
import { killTree } from '../../deploy/processes/process-tree.ts';
import type { BoardConfig, BuilderConfig, CoordinatorConfig, PublisherConfig } from '../../schemas/config.ts';
import { streamFolder } from '../log-server.ts';
import { patienceMs } from '../patience.ts';
import type { TcpProxy } from './tcp-proxy.ts';

/** Any fleet that runs in a sandbox. */
interface Fleet {
  places: SandboxPlaces;
}

interface Configs {
  boltzmann: BuilderConfig;
  fermi: BuilderConfig;
  hertz: PublisherConfig;
  fresnel: BoardConfig;
  coordinator: CoordinatorConfig;
}

/** The supervisor's state of one of its processes: `fresnel`, `nats-server`, `sshd-hertz`, `files`, … */
export const processOf = ({ places }: Fleet, name: string): SupervisorState['processes'][number] => {
  const found = readState(places)?.processes.find((each) => each.name === name);
  if (!found) throw new Error(`the sandbox in ${places.folder} runs no ${name}`);
  return found;
};

/** @throws {Error} after `timeoutMs`. */
export const waitUntil = async (
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = patienceMs,
): Promise<void> => {
  for (const until = Date.now() + timeoutMs; !(await holds()); await sleep(20))
    if (Date.now() > until) throw new Error(`${what}: not within ${timeoutMs / 1000} s`);
};

const runningNow = (fleet: Fleet, name: string): ProcessIdentity | undefined => {
  const { process } = processOf(fleet, name);
  return process && isRunning(process) ? process : undefined;
};

/** Sends SIGKILL to a process of the sandbox, alone or with its descendants. Returns once the next one runs. */
export const killProcess = async (
  fleet: Fleet,
  name: string,
  how: 'alone' | 'with children' = 'alone',
): Promise<void> => {
  await waitUntil(`${name} runs`, () => runningNow(fleet, name) !== undefined);
  const before = runningNow(fleet, name);
  if (!before) throw new Error(`${name} ends by itself`);
  if (how === 'alone') signal(before, 'SIGKILL');
  else killTree(before.pid);
  await waitUntil(`${name} runs again`, () => {
    const now = runningNow(fleet, name);
    return now !== undefined && (now.pid !== before.pid || now.startTicks !== before.startTicks);
  });
};

/** Cuts the power of a host or of nats-server, or gives it back. Returns once the supervisor has done so. */
export const setPower = async (
  fleet: Fleet,
  name: SandboxHost | 'nats',
  power: 'on' | 'off',
): Promise<void> => {
  const { off } = fleet.places.power(name);
  const process = name === 'nats' ? 'nats-server' : name;
  if (power === 'off') {
    await mkdir(dirname(off), { recursive: true });
    await writeFile(off, '');
  } else await rm(off, { force: true });
  // A host's daemon is also down between an end and the next start, so this checks for the supervisor's `off`.
  await waitUntil(`${process} is ${power}`, () =>
    power === 'on'
      ? runningNow(fleet, process) !== undefined
      : processOf(fleet, process).process === null &&
        (name === 'nats' || processOf(fleet, process).why === 'off'),
  );
};

/** Removes the log's data: nats-server starts again without a log. */
export const loseLogDisk = async (fleet: Fleet): Promise<void> => {
  await setPower(fleet, 'nats', 'off');
  await rm(streamFolder(fleet.places.nats), { recursive: true });
  await setPower(fleet, 'nats', 'on');
};

const configFile = ({ places }: Fleet, name: keyof Configs): string =>
  name === 'coordinator' ? places.coordinatorConfig : places.config(name);

const rewrite = async (file: string, change: (text: string) => string): Promise<void> => {
  await writeFile(`${file}.part`, change(await readFile(file, 'utf8')));
  await rename(`${file}.part`, file);
};

/**
 * Changes the config of a host or of the coordinator, and restarts its daemon by killing it. The next start of the
 * fleet undoes the change.
 */
export const reconfigure = async <Name extends keyof Configs>(
  fleet: Fleet,
  name: Name,
  change: (config: Configs[Name]) => void,
): Promise<void> => {
  await rewrite(configFile(fleet, name), (text) => {
    const config = parse(text);
    change(config);
    return stringify(config);
  });
  await killProcess(fleet, name);
};

/**
 * Routes a host's connections through a proxy, wherever its config, its pacman's or its known hosts name the server's
 * port: nats-server, the file server, or another host's sshd. Restarts its daemon.
 */
export const speakThrough = async (
  fleet: Fleet,
  name: keyof Configs,
  { port, targetPort }: Pick<TcpProxy, 'port' | 'targetPort'>,
): Promise<void> => {
  const { places } = fleet;
  const throughProxy = (text: string) =>
    text
      .replaceAll(`127.0.0.1:${targetPort}`, `127.0.0.1:${port}`)
      .replaceAll(`port: ${targetPort}\n`, `port: ${port}\n`);
  await rewrite(configFile(fleet, name), throughProxy);
  if (name === 'fresnel') await rewrite(places.board.pacmanConfig, throughProxy);
  if (name === 'boltzmann' || name === 'fermi')
    await rewrite(places.knownHosts(name), (text) =>
      text.replaceAll(`[127.0.0.1]:${targetPort} `, `[127.0.0.1]:${port} `),
    );
  await killProcess(fleet, name);
};

/** The ports of a fleet's servers, for a proxy. */
export const portsOf = async (
  fleet: Fleet,
): Promise<{ nats: number; files: number; ssh: (host: 'boltzmann' | 'fermi' | 'hertz') => number }> => {
  const hertz: PublisherConfig = parse(await readFile(configFile(fleet, 'hertz'), 'utf8'));
  const fresnel: BoardConfig = parse(await readFile(configFile(fleet, 'fresnel'), 'utf8'));
  const ssh = { ...hertz.peers, ...fresnel.peers };
  return {
    nats: Number(new URL(readState(fleet.places)?.natsUrl ?? 'none:').port),
    files: Number(new URL(fresnel.repositoryUrl).port),
    ssh: (host) => ssh[host]?.port ?? 0,
  };
};

/** Shortens the grace of each host, and restarts the coordinator, which reads it. */
export const setGrace = async (fleet: Fleet, graceSeconds: number): Promise<void> => {
  await rewrite(fleet.places.fleetFile, (text) => {
    const written = parse(text);
    for (const host of Object.values<{ graceSeconds?: number }>(written.hosts))
      host.graceSeconds = graceSeconds;
    return stringify(written);
  });
  await killProcess(fleet, 'coordinator');
};
