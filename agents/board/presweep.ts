import type { BoardConfig } from '../../schemas/config.ts';
import type { Step } from '../runtime/step.ts';
import { codecSweep } from './codec-sweep.ts';

/** What the codecs give before anything is changed: the sweep that the new kernel's is compared with. */
export const presweep: Step<'presweep', BoardConfig> = codecSweep;
