import { stringify } from 'yaml';
import { exampleApproval, signedBy } from '../../../coordinator/testing/example-attestation.ts';
import { examplePlan } from '../../../coordinator/testing/example-plan.ts';
import { personWriter } from '../../../schemas/events.ts';
import { type Plan, planHash } from '../../../schemas/plan.ts';
import type { ApprovedTree } from '../../../schemas/reviewed.ts';
import type { SignedEvent } from '../../../schemas/signed-event.ts';
import type { StepRequest } from '../../../schemas/steps.ts';

export interface Agreeing {
  iteration: string;
  trees: ApprovedTree[];
  /** Who has started it, and who has approved it. */
  by?: string;
  approvers?: readonly string[];
  change?: (plan: Plan) => void;
}

/** A landing with the start and the approvals of people of the example fleet. */
export const agreed = (
  request: Omit<StepRequest<'land'>, 'approved'>,
  { iteration, trees, by = 'mfritsche', approvers = ['architect'], change = () => undefined }: Agreeing,
): StepRequest<'land'> & { approved: object } => {
  const { title, series, manifest, package: packageAt } = request;
  const { plan } = examplePlan((example) => {
    Object.assign(example, { iteration, title, manifest, package: packageAt });
    example.series = { ...example.series, scope: series.scope };
    example.review.approvals = ['architect'];
    change(example);
  });
  const planText = stringify(plan);
  const planSha256 = planHash(planText, series.patches);
  const reviewed = { board: plan.board, planSha256, trees };
  const started = { plan, planText, planSha256, series: series.patches, by };
  const start: SignedEvent = signedBy(personWriter(by), {
    type: 'IterationStarted',
    iteration,
    attempt: 1,
    data: started,
  });
  const approvals = approvers.map((name) =>
    exampleApproval({ ...reviewed, iteration, patchset: '', commit: '' }, name),
  );
  return { ...request, approved: { ...reviewed, approvals, planText, start } };
};
