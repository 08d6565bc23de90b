import { isDeepStrictEqual } from 'node:util';
import type { Fleet } from '../../schemas/fleet.ts';
import { sha256 } from '../../schemas/hash.ts';
import { Plan, patchBytes, planHash } from '../../schemas/plan.ts';
import { readYaml } from '../../schemas/yaml-file.ts';
import type { Command } from '../decider/decide.ts';
import type { Asked, State } from '../decider/state.ts';
import { fleetFacts } from './fleet-facts.ts';

/** Whether the parsed plan and the plan's hash agree with the plan's text and the series. Remembered for each start. */
const agreement = new WeakMap<Asked, boolean>();
const planAgrees = (asked: Asked): boolean => {
  const known = agreement.get(asked);
  if (known !== undefined) return known;
  const { plan, planText, planSha256, series, resolved } = asked;
  const agrees =
    series.every((patch) => sha256(patchBytes(patch)) === patch.sha256) &&
    planHash(planText, series, resolved) === planSha256 &&
    isDeepStrictEqual(readYaml(planText, Plan).value, plan);
  agreement.set(asked, agrees);
  return agrees;
};

/** The answer that is due to the person who has asked for an iteration of that name, if somebody waits for one. */
export const answerDue = (state: State, iteration: string, fleet: Fleet): Command[] => {
  const asked = state.starts.get(iteration)?.open[0];
  if (!asked) return [];
  const facts = fleetFacts(asked.plan, fleet);
  return [{ do: 'Answer', iteration, fleet: facts, planAgrees: planAgrees(asked) }];
};
