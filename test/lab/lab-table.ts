import { type Fault, tableOfFaults } from '../faults/fault-table.ts';

const oldKernel = 'the old kernel runs again, by itself; the iteration is rolled back and says which it was';

/**
 * The faults that are proven on the virtual board: each row has at least one test in this folder, and all of them pass.
 */
export const labTable = [
  {
    id: 'hypothesis-wrong',
    fault: 'a plan expects buffers that are exported with EXPBUF to have a fence',
    expected: 'the sweep fails, the board is rolled back, the iteration goes back to phase 0',
  },
  { id: 'kernel-panics', fault: 'the new kernel panics while it boots', expected: oldKernel },
  { id: 'kernel-hangs', fault: 'the new kernel hangs while it boots', expected: oldKernel },
  {
    id: 'kernel-no-network',
    fault: 'the new kernel has no network',
    expected:
      'the board’s own deadline goes off; the old kernel runs again, and the iteration says which it was',
  },
  {
    id: 'kernel-emergency',
    fault: 'the new kernel’s boot ends in systemd’s emergency mode',
    expected: 'the board’s own deadline goes off there; the old kernel runs again',
  },
  {
    id: 'power-cut',
    fault: 'the power is cut (SIGKILL to QEMU) in stage, pacman, initramfs, boot switch, reboot, sweep',
    expected: 'the board boots, old or new, and the iteration ends rightly',
  },
] as const satisfies readonly Fault[];

export const labFaults = tableOfFaults(labTable);

export type LabFaultId = (typeof labTable)[number]['id'];
