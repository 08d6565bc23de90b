import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { checkSignedEvent } from '../../eventlog/signing/check-event.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { personWriter } from '../../schemas/events.ts';
import { Plan, planHash } from '../../schemas/plan.ts';
import type { Approved } from '../../schemas/reviewed.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import { readYaml } from '../../schemas/yaml-file.ts';
import { approversOf } from '../runtime/approvals.ts';
import { StepFailed } from '../runtime/errors.ts';

/** As much of a plan as a landing rests on. What a newer plan holds beside it is not looked at. */
const LandedPlan = z.object({
  iteration: Plan.shape.iteration,
  board: Plan.shape.board,
  title: Plan.shape.title,
  series: z.object({ scope: Plan.shape.series.shape.scope }),
  manifest: z.object(Plan.shape.manifest.shape),
  package: z.object(Plan.shape.package.shape).omit({ installed: true }),
  review: z.object(Plan.shape.review.shape),
});

/** What the start says, whether or not its series was put aside. */
const Start = z.object({ by: z.string(), planSha256: z.string() });

/** Who has started the iteration with this very plan, or what is wrong with the start. */
const authorOf = (
  start: SignedEvent,
  trust: Trust,
  iteration: string,
  planSha256: string,
): { author: string } | { fault: string } => {
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

/** What is wrong with the plan behind a landing, if anything. */
const planFault = (
  { approved, series, ...asked }: StepRequest<'land'> & { approved: object },
  plan: z.infer<typeof LandedPlan>,
  iteration: string,
): string | undefined => {
  const { planText, planSha256, resolved, board } = approved;
  if (planHash(planText, series.patches, resolved) !== planSha256)
    return `plan and series are not those of the hash ${planSha256}`;
  const expected = {
    iteration: plan.iteration,
    board: plan.board,
    title: plan.title,
    scope: plan.series.scope,
    manifest: plan.manifest,
    package: plan.package,
  };
  const { title, manifest, package: packageAt } = asked;
  const found = { iteration, board, title, scope: series.scope, manifest, package: packageAt };
  for (const key of Object.keys(expected) as (keyof typeof expected)[])
    if (!isDeepStrictEqual(found[key], expected[key]))
      return `the ${key} is ${JSON.stringify(found[key])}; the plan says ${JSON.stringify(expected[key])}`;
  return undefined;
};

/**
 * Checks that people have agreed to what is to be landed, by this host's own copy of the fleet's file: whatever the
 * coordinator accepted, an iteration needs the approvals of all whom its plan names, and of as many people as the fleet
 * wants beside the one who started it. That one counts only if plan and fleet both say so.
 * @param askedAt when the landing was asked for, by the clock of the log's server.
 * @returns what was approved. @throws {StepFailed} (work)
 */
export const requireAgreed = (
  request: StepRequest<'land'>,
  trust: Trust,
  iteration: string,
  askedAt?: number,
): Approved => {
  const refuse = (why: string) =>
    new StepFailed('work', `${why}; nothing of ${iteration} is landed without the approvals that it needs`);
  const { approved } = request;
  if (approved === undefined) throw refuse('The request carries no start and no approvals');
  const { value: plan, faults } = readYaml(approved.planText, LandedPlan);
  if (!plan) throw refuse(`The plan can't be read: ${faults[0]?.message}`);
  const fault = planFault({ ...request, approved }, plan, iteration);
  if (fault !== undefined) throw refuse(fault);
  const start = authorOf(approved.start, trust, iteration, approved.planSha256);
  if ('fault' in start) throw refuse(start.fault);
  const found = approversOf(approved, trust, iteration, askedAt);
  if ('fault' in found) throw refuse(found.fault);

  const missing = plan.review.approvals.filter((person) => !found.names.has(person));
  if (missing.length > 0) throw refuse(`The plan asks for the approval of ${missing.join(', ')} as well`);
  const authorCounts = trust.authorMayApprove && plan.review.authorMayApprove === true;
  const others = [...found.names].filter((name) => authorCounts || name !== start.author);
  if (others.length < trust.approvals)
    throw refuse(
      `${start.author} has started it, and beside ${start.author} ${others.length} of ${trust.approvals} people have approved`,
    );
  return approved;
};
