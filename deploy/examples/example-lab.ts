import { join } from 'node:path';
import { checkout } from '../checkout.ts';
import { exampleOnLinux } from './example-linux.ts';
import { placeLabPlan } from './lab-plans.ts';

/** Iteration 5 on a virtual board: the series, and vim2m, which shows its effect. */
export const exampleLab = exampleOnLinux({
  name: 'lab',
  campaignFolder: join(checkout, 'examples/lab/campaign'),
  placePlans: (to, { PKGVER, COMMIT }) => placeLabPlan(to, { version: PKGVER, commit: COMMIT }),
  planFiles: ({ plan }) => [join(plan, 'plan.yaml')],
});
