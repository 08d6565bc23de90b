import { readFileSync } from 'node:fs';
import { type RoleParts, runAgent } from '../../agents/runtime/agent.ts';
import type { Iteration } from '../../coordinator/decider/state.ts';
import { goodEvidence } from '../../coordinator/testing/example-evidence.ts';
import type { AgentConfig } from '../../schemas/config.ts';
import { type StepName, stepNames } from '../../schemas/step-names.ts';
import type { Underway } from './busy-fleet.ts';
import { planOf } from './played-iteration.ts';

// The agents of a whole fleet in one process, whose steps do nothing: what they would have seen is made before.
const { configs, iterations } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as {
  configs: AgentConfig[];
  iterations: Underway[];
};

const evidence = new Map<string, unknown>();
for (const { name, board, hosts } of iterations) {
  const { plan, series, planSha256 } = planOf(name, board, hosts);
  // The evidence follows from the plan alone.
  const iteration = { name, plan, series, planSha256 } as unknown as Iteration;
  for (const step of stepNames) evidence.set(`${name} ${step}`, goodEvidence<StepName>(iteration, step));
}

const steps = Object.fromEntries(
  stepNames.map((step) => [
    step,
    async (_request: unknown, { iteration }: { iteration: string }) => evidence.get(`${iteration} ${step}`),
  ]),
) as RoleParts<AgentConfig>['steps'];

const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
await Promise.all(configs.map((config) => runAgent(config, { steps }, { version: '1' }, stop.signal)));
