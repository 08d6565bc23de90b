import type { BoardConfig } from '../../schemas/config.ts';
import type { Step } from '../runtime/step.ts';
import { codecSweep } from './codec-sweep.ts';

/** Sweeps the codecs on the kernel that runs now: the one under test. */
export const sweep: Step<'sweep', BoardConfig> = codecSweep;
