import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { checkSignedEvent } from '../../eventlog/signing/check-event.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { personWriter } from '../../schemas/events.ts';
import { Plan, planHash } from '../../schemas/plan.ts';
import type { Approved } from '../../schemas/reviewed.ts';
import { readYaml } from '../../schemas/yaml-file.ts';
import { approversOf } from './approvals.ts';
import { StepFailed } from './errors.ts';

/** As much of a plan as hosts compare their requests with. What a newer plan holds beside it is not looked at. */
const AgreedPlan = z.object({
  iteration: Plan.shape.iteration,
  board: Plan.shape.board,
  title: Plan.shape.title,
  series: z.object({ scope: Plan.shape.series.shape.scope }),
  manifest: z.object(Plan.shape.manifest.shape),
  package: z.object(Plan.shape.package.shape),
  review: z.object(Plan.shape.review.shape),
});
export type AgreedPlan = z.infer<typeof AgreedPlan>;

/** What the start says, whether or not its series was put aside. */
const Start = z.object({ by: z.string(), planSha256: z.string() });

/** Who has started the iteration with this very plan, or what is wrong with the start. */
const authorOf = (
  { start, planSha256 }: Approved,
  trust: Trust,
  iteration: string,
): { author: string } | { fault: string } => {
  if (start === undefined) return { fault: 'the request carries no start that a person has signed' };
  const checked = checkSignedEvent(trust, start);
  if ('refused' in checked) return { fault: `its start does not count: ${checked.refused.why}` };
  const { event } = checked.logged;
  const { by, planSha256: started } = Start.safeParse(event.data).data ?? {};
  if (by === undefined || event.type !== 'IterationStarted' || event.source !== personWriter(by))
    return { fault: `its start is ${event.source}'s ${event.type}; expected a person's IterationStarted` };
  if (event.iteration !== iteration || started !== planSha256)
    return {
      fault: `its start is of ${event.iteration} with the plan ${started}; expected ${iteration} with ${planSha256}`,
    };
  return { author: by };
};

/** The plan that has the approved hash, or what is wrong with it. */
const planOf = (
  { planText, planSha256, patches, resolved, board }: Approved,
  iteration: string,
): { plan: AgreedPlan } | { fault: string } => {
  const { value: plan, faults } = readYaml(planText, AgreedPlan);
  if (!plan) return { fault: `the plan can't be read: ${faults[0]?.message}` };
  const series = patches.map((sha256) => ({ sha256 }));
  if (planHash(planText, series, resolved) !== planSha256)
    return { fault: `plan and series are not those of the hash ${planSha256}` };
  const fault = otherThanPlan({ iteration, board }, { iteration: plan.iteration, board: plan.board });
  return fault === undefined ? { plan } : { fault };
};

/** The first of these facts that the plan says otherwise, if there is one. */
const otherThanPlan = <Facts extends object>(facts: Facts, plan: Facts): string | undefined => {
  for (const key of Object.keys(facts) as (keyof Facts & string)[])
    if (!isDeepStrictEqual(facts[key], plan[key]))
      return `the ${key} is ${JSON.stringify(facts[key])}; the plan says ${JSON.stringify(plan[key])}`;
  return undefined;
};

/** By which trust file and for which iteration an agreement is looked at. */
export interface AgreedBy {
  trust: Trust;
  iteration: string;
  /** When the approvals were used, as {@link approversOf} takes it. */
  usedAt?: number | undefined;
}

/** The people's part: all whom the plan names, and as many beside the author as the fleet wants. */
const approvalFault = (
  approved: Approved,
  { review }: AgreedPlan,
  { trust, iteration, usedAt }: AgreedBy,
): string | undefined => {
  const start = authorOf(approved, trust, iteration);
  if ('fault' in start) return start.fault;
  const found = approversOf(approved, trust, iteration, usedAt);
  if ('fault' in found) return found.fault;
  const missing = review.approvals.filter((person) => !found.names.has(person));
  if (missing.length > 0) return `the plan asks for the approval of ${missing.join(', ')} as well`;
  const authorCounts = trust.authorMayApprove && review.authorMayApprove === true;
  const others = [...found.names].filter((name) => authorCounts || name !== start.author);
  if (others.length >= trust.approvals) return undefined;
  const { author } = start;
  return `${author} has started it, and beside ${author} ${others.length} of ${trust.approvals} people have approved`;
};

/**
 * Whether people have agreed to what a host is asked for, by this host's own trust file: whatever the
 * coordinator accepted, an iteration needs the approvals of all whom its plan names, and of as many people as the fleet
 * wants beside the one who started it. That one counts only if plan and fleet both say so.
 * @param asked facts of the request. @param planned the same facts, as the plan has them.
 * @returns the plan, or what is missing.
 */
export const agreedPlan = <Facts extends object>(
  approved: Approved,
  { trust, iteration, usedAt }: AgreedBy,
  asked: Facts,
  planned: (plan: AgreedPlan) => Facts,
): { plan: AgreedPlan } | { fault: string } => {
  const read = planOf(approved, iteration);
  if ('fault' in read) return read;
  const { plan } = read;
  const fault =
    otherThanPlan(asked, planned(plan)) ?? approvalFault(approved, plan, { trust, iteration, usedAt });
  return fault === undefined ? read : { fault };
};

/** Refuses what people have not agreed to, as {@link agreedPlan} finds. @throws {StepFailed} (work) */
export const requireAgreed = (...of: Parameters<typeof agreedPlan>): void => {
  const found = agreedPlan(...of);
  if ('plan' in found) return;
  throw new StepFailed(
    'work',
    `People have not agreed to this: ${found.fault}; nothing is done without the approvals that it needs`,
  );
};

/** The package as a builder is asked for it. */
export const packageIn = ({ package: { installed: _, allows: __, ...asked } }: AgreedPlan) => asked;
