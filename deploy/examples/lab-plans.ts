import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { checkout } from '../checkout.ts';
import { fillFile } from './template.ts';

const folder = join(checkout, 'examples/lab');
const series = join(checkout, 'examples/linux/patches');

/** The version in the Makefile of the baseline's tree, such as `6.1.192`, and the baseline's commit. */
export interface Baseline {
  version: string;
  commit: string;
}

/** The pkgrels of an iteration: the PKGBUILD's before and after, and that of the package on the board. */
export interface Pkgrels {
  from: number;
  to: number;
  installed: number;
}

/** The iterations on top of `lab5`, by the folder below examples/lab whose patches replace the series' own. */
const tried = {
  again: { title: 'the same series once more', goBack: 'phase 4: nothing in the series has changed' },
  panic: {
    title: 'a release fence that has signalled is made at boot, without a lock',
    goBack: 'phase 4: the initcall of the helper, from what the kernel says as it panics',
  },
  hang: {
    title: 'a release fence that has signalled is made at boot, under its own lock',
    goBack: 'phase 4: the initcall of the helper, from the console',
  },
  'no-network': {
    title: 'vim2m opts in, by a patch with a hunk that belongs elsewhere',
    goBack: 'phase 4: what the patch of vim2m has to do with virtio_net',
  },
} as const satisfies Record<string, { title: string; goBack: string }>;
const wrongHypothesis = 'wrong-hypothesis';

/**
 * An iteration on top of `lab5`: `again` is as good as `lab5`; the kernels of `panic`, `hang` and `no-network` do not
 * boot as they should; `wrong-hypothesis` boots, and is wrong.
 */
export type NextIteration = keyof typeof tried | typeof wrongHypothesis;
export const nextIterations = [...Object.keys(tried), wrongHypothesis] as readonly NextIteration[];

const baselineValues = ({ version, commit }: Baseline) => ({ PKGVER: version, COMMIT: commit });

/** Writes the plan of iteration `lab5` and its series into a folder. Returns the plan's file. */
export const placeLabPlan = async (to: string, baseline: Baseline): Promise<string> => {
  const file = join(to, 'plan.yaml');
  await mkdir(to, { recursive: true });
  await cp(series, join(to, 'patches'), { recursive: true });
  await fillFile(join(folder, 'plan.yaml.in'), file, baselineValues(baseline));
  return file;
};

/**
 * Writes the plan of an iteration on top of another, and its series, into a folder. These iterations are independent:
 * they can be run in any order, with the pkgrels that result from it. Returns the plan's file.
 * @param iteration its name in the log, which can be used only once.
 */
export const placeNextPlan = async (
  to: string,
  what: NextIteration,
  { iteration, baseline, pkgrels }: { iteration: string; baseline: Baseline; pkgrels: Pkgrels },
): Promise<string> => {
  const file = join(to, 'plan.yaml');
  await mkdir(to, { recursive: true });
  await cp(series, join(to, what), { recursive: true });
  if (what !== 'again') await cp(join(folder, what), join(to, what), { recursive: true });
  const template = what === wrongHypothesis ? 'plan-wrong-hypothesis.yaml.in' : 'plan-next.yaml.in';
  const { title, goBack } = what === wrongHypothesis ? { title: '', goBack: '' } : tried[what];
  await fillFile(join(folder, template), file, {
    ...baselineValues(baseline),
    ITERATION: iteration,
    TITLE: title,
    GOBACK: goBack,
    SERIES: what,
    FROM: String(pkgrels.from),
    TO: String(pkgrels.to),
    INSTALLED: String(pkgrels.installed),
  });
  return file;
};
