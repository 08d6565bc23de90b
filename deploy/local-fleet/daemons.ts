import { existsSync } from 'node:fs';
import { hostNames, type SandboxHost, type SandboxPlaces } from '../places/sandbox-places.ts';
import { type Kept, type KeptProcess, keepProcess } from '../processes/kept-process.ts';
import { lastLine } from '../processes/last-line.ts';
import { nodeArgv } from '../processes/node-argv.ts';
import type { BoardMachine } from './board/board-machine.ts';
import type { SupervisorState } from './sandbox-state.ts';

/** A daemon that was restarted this often keeps failing. */
const endsInVain = 3;

/** The fleet's coordinator, the keeper of its log, and its hosts as machines that have power or not. */
export interface Daemons {
  /** Starts coordinator and keeper, and the processes of each host that has power. */
  start(): Promise<void>;
  /** Switches the power of each host off or on, as its file asks; reboots the board if it asks for that. */
  tend(): Promise<void>;
  /** Whether a host has power and has booted. */
  isUp(host: SandboxHost): boolean;
  /** The daemon that keeps ending, if there is one: waiting for it is useless. */
  fault(): string | undefined;
  describe(): SupervisorState['processes'];
  stop(): Promise<void>;
}

/** The processes of a host while it has power, by name. */
const processesOf = (
  places: SandboxPlaces,
  board: BoardMachine,
  host: SandboxHost,
): Readonly<Record<string, Kept>> =>
  host === 'fresnel'
    ? board.processes
    : { [host]: { argv: () => nodeArgv('agents/main.ts', '--config', places.config(host)) } };

/** The daemons that are not a host's. */
const besideHosts = (places: SandboxPlaces): [name: string, argv: () => string[]][] => [
  ['coordinator', () => nodeArgv('coordinator/main.ts', '--config', places.coordinatorConfig)],
  ['keeper', () => nodeArgv('deploy/keeper/keeper-main.ts', '--config', places.keeperConfig)],
];

const described = (name: string, { identity, restarts }: KeptProcess, why: string | undefined) => ({
  name,
  process: identity ?? null,
  restarts,
  ...(why === undefined ? {} : { why }),
});

/** @param onChange called whenever a daemon has started or ended, or a host's power has changed. */
export const createDaemons = (
  places: SandboxPlaces,
  board: BoardMachine,
  onChange: () => Promise<void>,
): Daemons => {
  const keep = (name: string, kept: Kept): KeptProcess =>
    keepProcess({ ...kept, logFile: places.log(name) }, () => void onChange());
  const beside = besideHosts(places).map(([name, argv]) => ({ name, daemon: keep(name, { argv }) }));
  const onHosts = hostNames.flatMap((host) =>
    Object.entries(processesOf(places, board, host)).map(([name, kept]) => ({
      name,
      host,
      daemon: keep(name, kept),
    })),
  );
  const all = [...beside, ...onHosts];
  const daemonsOf = (host: SandboxHost): KeptProcess[] =>
    onHosts.flatMap((each) => (each.host === host ? each.daemon : []));
  const powerless = new Set<SandboxHost>();
  /** Why the board does not boot although it has power. */
  let bootFailed: string | undefined;

  const isOff = (host: SandboxHost) => existsSync(places.power(host).off);
  const powerOn = async (host: SandboxHost) => {
    const booted = host === 'fresnel' ? await board.boot() : undefined;
    if (booted) bootFailed = booted.up ? undefined : `off: ${booted.why}`;
    if (booted?.up !== false) for (const each of daemonsOf(host)) each.start();
    await onChange();
  };
  const switchPower = async (host: SandboxHost) => {
    if (isOff(host) === powerless.has(host)) return;
    if (powerless.delete(host)) return powerOn(host);
    powerless.add(host);
    await Promise.all(daemonsOf(host).map((each) => each.kill()));
    await onChange();
  };
  const whyDown = (host: SandboxHost, { why }: KeptProcess) =>
    powerless.has(host) ? 'off' : ((host === 'fresnel' ? bootFailed : undefined) ?? why);

  return {
    start: async () => {
      for (const { daemon } of beside) daemon.start();
      for (const host of hostNames) {
        if (isOff(host)) powerless.add(host);
        else await powerOn(host);
      }
    },
    tend: async () => {
      for (const host of hostNames) await switchPower(host);
      if (!board.wantsReboot() || powerless.has('fresnel')) return;
      await Promise.all(daemonsOf('fresnel').map((each) => each.stop()));
      await powerOn('fresnel');
    },
    isUp: (host) => !powerless.has(host) && (host !== 'fresnel' || bootFailed === undefined),
    fault: () => {
      const failing = all.find(({ daemon }) => daemon.restarts >= endsInVain);
      return failing && `${failing.name} keeps ending: ${lastLine(places.log(failing.name))}`;
    },
    describe: () => [
      ...beside.map(({ name, daemon }) => described(name, daemon, daemon.why)),
      ...onHosts.map(({ name, host, daemon }) => described(name, daemon, whyDown(host, daemon))),
    ],
    stop: async () => {
      await Promise.all(all.map(({ daemon }) => daemon.stop()));
    },
  };
};
