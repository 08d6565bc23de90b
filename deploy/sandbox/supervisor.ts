import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { virtualBoard } from '../lab/virtual-board.ts';
import { buildUser } from './baseline.ts';
import { type BoardMachine, folderBoard, readyWithinMs } from './board-machine.ts';
import { writeConfigs } from './configs.ts';
import { exampleNamed } from './examples.ts';
import { readFacts, type SandboxFacts } from './identity.ts';
import { type Kept, type KeptProcess, keepProcess } from './kept-process.ts';
import { holdWorktrees } from './kept-worktrees.ts';
import { lastLine } from './last-line.ts';
import { nodeArgv } from './node-argv.ts';
import { hostNames, type SandboxHost, type SandboxPlaces, sandboxPlaces } from './places.ts';
import { provisionLog, waitForHosts } from './readiness.ts';
import { createLoggedRun } from './run-program.ts';
import { holdSandbox } from './sandbox-lock.ts';
import { endLeftovers, type SupervisorState, writeState } from './sandbox-state.ts';
import { type RunningServers, startServers } from './servers.ts';
import { endGpgDaemons } from './signing-key.ts';

const lookEveryMs = 100;
/** So many ends in a row are no bad luck. */
const endsInVain = 3;

const machineOf: Record<SandboxFacts['board'], (places: SandboxPlaces, facts: SandboxFacts) => BoardMachine> =
  {
    folder: folderBoard,
    virtual: virtualBoard,
  };

const said = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Runs a sandbox fleet until `signal` fires: its servers, its coordinator, its hosts, and the board's power. */
const supervise = async (places: SandboxPlaces, facts: SandboxFacts, signal: AbortSignal): Promise<void> => {
  const run = createLoggedRun(places.log('provision'));
  const daemons = new Map<string, KeptProcess>();
  const board = machineOf[facts.board](places, facts);
  /** What runs on a host while it has power, by name. */
  const processesOf = (host: SandboxHost): Readonly<Record<string, Kept>> =>
    host === 'fresnel'
      ? board.processes
      : { [host]: { argv: () => nodeArgv('agents/main.ts', '--config', places.config(host)) } };
  let servers: RunningServers | undefined;
  const powerless = new Set<SandboxHost>();
  /** Why the board does not boot, where it has power. */
  let bootFailed: string | undefined;
  let worktrees: Awaited<ReturnType<typeof holdWorktrees>>;

  const state: SupervisorState = { phase: 'starting', processes: [] };
  let writing = Promise.resolve();
  const tell = (change: Partial<SupervisorState> = {}): Promise<void> => {
    Object.assign(state, change);
    const described = [...daemons].map(([name, daemon]) => {
      const host = hostNames.find((each) => Object.hasOwn(processesOf(each), name));
      const off = host && powerless.has(host) ? 'off' : undefined;
      const why = off ?? (host === 'fresnel' ? bootFailed : undefined) ?? daemon.why;
      const { identity, restarts } = daemon;
      return { name, process: identity ?? null, restarts, ...(why === undefined ? {} : { why }) };
    });
    state.processes = [...(servers?.describe() ?? []), ...described];
    writing = writing
      .then(() => writeState(places, state))
      .catch((error: unknown) => console.error(said(error)));
    return writing;
  };
  const stopAll = async () => {
    // The daemons before the servers that they speak to, so that none of them has to go without.
    await Promise.all([...daemons.values()].map((daemon) => daemon.stop()));
    await servers?.stop();
    await endGpgDaemons(run, places);
    await worktrees?.letGo();
  };

  try {
    await tell();
    const since = Date.now();
    servers = await startServers(places, facts, () => void tell());
    const { natsUrl, listen } = servers;
    await tell({ natsUrl });
    const example = exampleNamed(facts.example);
    worktrees = await holdWorktrees(facts.worktrees);
    if (facts.worktrees !== undefined && !worktrees)
      console.error(`another fleet builds in ${facts.worktrees}: this one begins with nothing`);
    await Promise.all([
      writeConfigs(places, example, facts, listen, {
        user: await buildUser(run),
        worktrees: worktrees?.folder,
      }),
      provisionLog(places, natsUrl, facts.fleet),
    ]);

    const keep = (name: string, kept: Kept): KeptProcess => {
      const daemon = keepProcess({ ...kept, logFile: places.log(name) }, () => void tell());
      daemons.set(name, daemon);
      return daemon;
    };
    keep('coordinator', {
      argv: () => nodeArgv('coordinator/main.ts', '--config', places.coordinatorConfig),
    }).start();
    for (const host of hostNames)
      for (const [name, kept] of Object.entries(processesOf(host))) keep(name, kept);
    const daemonsOf = (host: SandboxHost) =>
      Object.keys(processesOf(host)).flatMap((name) => daemons.get(name) ?? []);
    const powerOn = async (host: SandboxHost) => {
      const booted = host === 'fresnel' ? await board.boot() : undefined;
      if (booted) bootFailed = booted.up ? undefined : `off: ${booted.why}`;
      if (booted?.up !== false) for (const each of daemonsOf(host)) each.start();
      await tell();
    };
    const isOff = (host: SandboxHost) => existsSync(places.power(host).off);
    /** Cuts the power of a host, or gives it back, as its file says. */
    const switchPower = async (host: SandboxHost) => {
      if (isOff(host) === powerless.has(host)) return;
      if (powerless.delete(host)) return powerOn(host);
      powerless.add(host);
      await Promise.all(daemonsOf(host).map((each) => each.kill()));
      await tell();
    };
    for (const host of hostNames) {
      if (isOff(host)) powerless.add(host);
      else await powerOn(host);
    }
    await waitForHosts(places, natsUrl, {
      fleet: facts.fleet,
      withinMs: readyWithinMs[facts.board],
      since,
      isUp: (host) => !powerless.has(host) && (host !== 'fresnel' || bootFailed === undefined),
      fault: () => {
        const failing = [...daemons].find(([, { restarts }]) => restarts >= endsInVain);
        return failing && `${failing[0]} keeps ending: ${lastLine(places.log(failing[0]))}`;
      },
      signal,
    });
    if (!signal.aborted) await tell({ phase: 'ready' });

    const watchServers = servers.watch(signal);
    while (!signal.aborted) {
      for (const host of hostNames) await switchPower(host);
      if (board.wantsReboot() && !powerless.has('fresnel')) {
        await Promise.all(daemonsOf('fresnel').map((each) => each.stop()));
        await powerOn('fresnel');
      }
      await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
    }
    await watchServers;
    await tell({ phase: 'stopping' });
    await stopAll();
    await tell({ phase: 'stopped' });
  } catch (error) {
    await stopAll();
    await tell({ phase: 'failed', why: said(error) });
    throw error;
  }
};

/** `supervisor.ts FOLDER`: runs the sandbox in FOLDER until SIGTERM. */
const main = async () => {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) throw new Error('usage: supervisor.ts FOLDER');
  const places = sandboxPlaces(folder);
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => stop.abort());
  process.umask(0o022);
  const letGo = await holdSandbox(places);
  try {
    await endLeftovers(places);
    await supervise(places, await readFacts(places), stop.signal);
  } finally {
    await letGo();
  }
};

await main().catch((error: unknown) => {
  console.error(said(error));
  process.exitCode = 1;
});
