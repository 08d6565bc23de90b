import { existsSync } from 'node:fs';
import { createRun } from '../../host/run.ts';
import { readState } from '../local-fleet/sandbox-state.ts';
import { sandboxPlaces } from '../places/sandbox-places.ts';
import { isRunning } from '../processes/process-identity.ts';
import { agentUnit, deadlineUnit } from '../systemd/unit-names.ts';
import type { LabPlaces } from './lab-places.ts';
import { sshArgv } from './ssh-argv.ts';

const units = [agentUnit, deadlineUnit] as const;
const answersWithinMs = 30_000;

/** How the virtual board is, as far as it can be seen from here. */
export interface BoardStatus {
  /** `cut`: its power is switched off; `off`: nothing runs it. */
  power: 'on' | 'cut' | 'off';
  /** QEMU's process. */
  pid: number | null;
  ssh: boolean;
  bootId: string | null;
  /** Its /proc/version. */
  version: string | null;
  /** The agent's units, each with the state that systemd says. */
  units: Readonly<Record<string, string>>;
}

const script = `cat /proc/sys/kernel/random/boot_id /proc/version; systemctl is-active -- ${units.join(' ')}`;

/** Asks the supervisor for the machine, and the machine itself by SSH for the rest. */
export const boardStatus = async (places: LabPlaces, ports: { board: number }): Promise<BoardStatus> => {
  const sandbox = sandboxPlaces(places.folder);
  const { process: machine } = readState(sandbox)?.processes.find(({ name }) => name === 'fresnel') ?? {};
  const pid = machine && isRunning(machine) ? machine.pid : null;
  const cut = existsSync(sandbox.power('fresnel').off);
  const silent = { ssh: false, bootId: null, version: null, units: {} };
  if (pid === null) return { power: cut ? 'cut' : 'off', pid, ...silent };
  // systemctl answers 3 if one of the units doesn't run, 4 if one is not known.
  const asked = createRun(() => undefined)(sshArgv(places, ports, [script]), {
    quiet: true,
    timeoutMs: answersWithinMs,
    exitCodes: [0, 3, 4],
  });
  const answer = await asked.catch(() => undefined);
  if (answer === undefined) return { power: 'on', pid, ...silent };
  const [bootId = null, version = null, ...states] = answer.stdout.trimEnd().split('\n');
  const stateOf = Object.fromEntries(units.map((unit, index) => [unit, states[index] ?? 'unknown']));
  return { power: 'on', pid, ssh: true, bootId, version, units: stateOf };
};
