import { readFileSync } from 'node:fs';
import { install } from '../../agents/board/install.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import { runStep } from '../run-step.ts';

/** What the agent does, in the file that its argument names. */
export interface Installing {
  request: StepRequest<'install'>;
  host: BoardConfig;
  /** Of its journal. */
  folder: string;
  fleet: Fleet;
}

// An agent of its own process, which a test kills in the middle of the step.
const { request, host, ...rest }: Installing = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
await runStep('install', install, request, host, rest);
