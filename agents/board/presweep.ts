import type { BoardConfig } from '../../schemas/config.ts';
import type { Step } from '../runtime/step.ts';
import { codecSweep } from './codec-sweep.ts';

/** Sweeps the codecs before anything is changed. The new kernel's sweep is compared with this one. */
export const presweep: Step<'presweep', BoardConfig> = codecSweep;
