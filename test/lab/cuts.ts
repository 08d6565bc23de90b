import type { SignKind } from './signs.ts';

/** One cut of the power: after which sign, and with which delay. */
export interface Cut {
  at: string;
  sign: readonly [SignKind, RegExp];
  afterMs: number;
}

/** The cuts in one iteration, and its expected end. */
export interface CutIteration {
  name: string;
  ends: 'closed' | 'failed';
  cuts: readonly Cut[];
}

const held = /^install: .* holds the kernel that runs/;
const installing = /^install: (up|re|down)?(grad|install)ing linux-fresnel-fourier\.\.\./;
const installingHeaders = /^install: (up|re|down)?(grad|install)ing linux-fresnel-fourier-headers\.\.\./;
/** The first line that update-initramfs prints here: the package has no /boot/config of its own. */
const initramfs = /^install: W: Kernel configuration/;
const trialBoot = /^Trial boot of /;

/**
 * Twenty cuts, spread over an iteration's work on the board. Before the new kernel's trial nothing is lost, and the
 * iteration closes. A cut ends a trial: the old kernel boots, and the iteration is rolled back.
 */
export const cutIterations: readonly CutIteration[] = [
  {
    name: 'cutbefore',
    ends: 'closed',
    cuts: [
      { at: 'as the download begins', sign: ['event', /^StageRequested/], afterMs: 0 },
      { at: 'in the download', sign: ['event', /^AgentStarted/], afterMs: 200 },
      { at: 'after the download', sign: ['event', /^StageSucceeded/], afterMs: 0 },
      { at: 'while the old kernel is held', sign: ['event', /^InstallRequested/], afterMs: 600 },
      { at: 'as pacman loads the packages', sign: ['output', held], afterMs: 3_000 },
      { at: 'as pacman replaces the kernel', sign: ['output', installing], afterMs: 0 },
      { at: 'a second into it', sign: ['output', installing], afterMs: 1_000 },
      { at: 'as pacman replaces the headers', sign: ['output', installingHeaders], afterMs: 500 },
      { at: 'as the initramfs is begun', sign: ['output', initramfs], afterMs: 500 },
      { at: 'in the initramfs', sign: ['output', initramfs], afterMs: 8_000 },
      { at: 'as the deadline is armed', sign: ['event', /^RebootRequested/], afterMs: 100 },
    ],
  },
  {
    name: 'cutloader',
    ends: 'failed',
    cuts: [
      { at: 'as the trial is set', sign: ['event', /^RebootRequested/], afterMs: 1_500 },
      { at: 'in the boot loader’s trial', sign: ['console', trialBoot], afterMs: 100 },
      { at: 'as the rollback begins', sign: ['event', /^RollbackRequested/], afterMs: 1_000 },
    ],
  },
  {
    name: 'cutboot',
    ends: 'failed',
    cuts: [
      { at: 'as the new kernel starts', sign: ['console', trialBoot], afterMs: 4_000 },
      {
        at: 'as the rollback replaces the kernel',
        sign: ['output', /^rollback: .*(up|down)grading/],
        afterMs: 300,
      },
    ],
  },
  {
    name: 'cutsweep',
    ends: 'failed',
    cuts: [
      { at: 'as the sweep begins', sign: ['event', /^SweepRequested/], afterMs: 1_000 },
      { at: 'after the rollback', sign: ['output', /^rollback: .*reboot 1/], afterMs: 0 },
    ],
  },
  {
    name: 'cutlate',
    ends: 'failed',
    cuts: [
      { at: 'late in the sweep', sign: ['output', /^sweep: exported kernel-direct/], afterMs: 0 },
      { at: 'in the rollback’s reboot', sign: ['output', /^rollback: .*reboot 1/], afterMs: 8_000 },
    ],
  },
];
