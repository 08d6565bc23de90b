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

/** The state of the virtual board, as far as it can be seen from here. */
export interface BoardStatus {
  /** `cut`: its power is switched off; `off`: nothing runs it. */
  power: 'on' | 'cut' | 'off';
  /** QEMU's process. */
  pid: number | null;
  ssh: boolean;
  bootId: string | null;
  /** The content of its /proc/version. */
  version: string | null;
  /** The agent's units, each with its state in systemd. */
  units: Readonly<Record<string, string>>;
}

const script = `cat /proc/sys/kernel/random/boot_id /proc/version; systemctl is-active -- ${units.join(' ')}`;

/** Reads the machine's process from the supervisor's state, and asks the machine for the rest by SSH. */
export const boardStatus = async (places: LabPlaces, ports: { board: number }): Promise<BoardStatus> => {
  const sandbox = sandboxPlaces(places.folder);
  const { process: machine } = readState(sandbox)?.processes.find(({ name }) => name === 'fresnel') ?? {};
  const pid = machine && isRunning(machine) ? machine.pid : null;
  const cut = existsSync(sandbox.power('fresnel').off);
  const silent = { ssh: false, bootId: null, version: null, units: {} };
  if (pid === null) return { power: cut ? 'cut' : 'off', pid, ...silent };
  // systemctl exits with 3 if one of the units does not run, with 4 if one is unknown.
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
