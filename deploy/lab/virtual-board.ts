import { createRun } from '../../host/run.ts';
import type { BoardMachine } from '../local-fleet/board/board-machine.ts';
import type { FixedPorts, SandboxFacts } from '../local-fleet/sandbox-facts.ts';
import type { SandboxPlaces } from '../places/sandbox-places.ts';
import type { Kept } from '../processes/kept-process.ts';
import { type LabPlaces, labPlaces } from './lab-places.ts';
import { qemuArgv } from './qemu.ts';
import { neverConnected, sshArgv } from './ssh-argv.ts';

const shutDownWithinMs = 120_000;

/** QEMU's process, which ends in order when the guest has shut down. A SIGTERM would be a power cut. */
export const machine = (places: LabPlaces, ports: FixedPorts): Kept => ({
  argv: () => qemuArgv(places, ports),
  end: {
    // The connection ends with the guest's network, whatever systemctl's exit code is.
    ask: async () => {
      const ran = await createRun(() => undefined)(sshArgv(places, ports, ['systemctl', 'poweroff']), {
        quiet: true,
        timeoutMs: 30_000,
        exitCodes: [0, 255],
      });
      if (ran.exitCode === 255 && neverConnected(ran.stderr))
        throw new Error(`the virtual board could not be asked to shut down: ${ran.stderr.trim()}`);
    },
    withinMs: shutDownWithinMs,
  },
});

/** A board that is a virtual machine and runs its agent and its deadline itself. */
export const virtualBoard = ({ folder }: SandboxPlaces, { ports }: SandboxFacts): BoardMachine => {
  if (!ports) throw new Error(`the virtual board in ${folder} has no ports: make the lab again`);
  return {
    processes: { fresnel: machine(labPlaces(folder), ports) },
    boot: async () => ({ up: true }),
    wantsReboot: () => false,
  };
};
