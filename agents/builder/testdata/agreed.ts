import { type Agreeing, exampleAgreed } from '../../../coordinator/testing/example-attestation.ts';
import type { StepRequest } from '../../../schemas/steps.ts';

/** A landing that people of the example fleet have agreed to. */
export const agreed = (
  request: Omit<StepRequest<'land'>, 'approved'>,
  { change = () => undefined, ...agreeing }: Agreeing,
): StepRequest<'land'> => {
  const { title, series, manifest, package: packageAt } = request;
  const approved = exampleAgreed({
    ...agreeing,
    series: series.patches,
    change: (plan) => {
      Object.assign(plan, { title, manifest, package: packageAt });
      plan.series = { ...plan.series, scope: series.scope };
      change(plan);
    },
  });
  return { ...request, approved };
};
