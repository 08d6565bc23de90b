import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { parse } from 'yaml';
import { loadPlan, PlanFaults } from '../../coordinator/plan/plan-file.ts';
import { exampleFleet, examplePatches, examplePlanYaml } from '../../coordinator/testing/example-plan.ts';
import { pureTarget } from './fuzz-target.ts';
import { hostileText, mutated, mutatedText } from './hostile.ts';
import { expectPrintable } from './terminal-text.ts';

const yamlPieces = [
  ...[
    '- ',
    ': ',
    '? ',
    '&a ',
    '*a',
    '<<: *a',
    '!!binary ',
    '!!set ',
    '!!omap ',
    '!<tag:x> ',
    '|\n',
    '>-\n',
    '%YAML 1.1\n---\n',
  ],
  ...[
    '---\n',
    '...\n',
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    '#',
    '\t',
    '\r\n',
    '? [a, b]\n: c\n',
    '- - - - - - - - ',
    '[[[[[[[[[',
  ],
  ...[
    '__proto__: { a: 1 }\n',
    'iteration: iter5\n',
    'x'.repeat(1100),
    '\ufeff',
    '\u0085',
    '0o17',
    '.inf',
    '.nan',
    '1_000',
  ],
];

const text: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: mutatedText(examplePlanYaml, yamlPieces) },
  {
    weight: 2,
    arbitrary: fc
      .array(fc.oneof(fc.constantFrom(...yamlPieces), hostileText), { maxLength: 20 })
      .map((all) => all.join('')),
  },
  // JSON is YAML.
  { weight: 4, arbitrary: mutated(parse(examplePlanYaml)).map((plan) => JSON.stringify(plan)) },
);

/** A plan's file, with its patches beside it: it is accepted, or all its faults are listed line by line. */
export const plans = pureTarget<string>('plans', 40, (folder) => {
  mkdirSync(join(folder, 'patches'));
  for (const [file, patch] of Object.entries(examplePatches))
    writeFileSync(join(folder, 'patches', file), patch);
  const file = join(folder, 'plan.yaml');
  return {
    input: text,
    hold: (plan) => {
      writeFileSync(file, plan);
      try {
        const loaded = loadPlan(file, exampleFleet);
        if (loaded.series.length === 0) throw new Error('it took a plan without a series');
      } catch (error) {
        if (!(error instanceof PlanFaults)) throw error;
        for (const fault of error.faults) {
          if (!/^\/.*?plan\.yaml:\d+:\d+: ./.test(fault)) throw new Error(`it says no place: ${fault}`);
          expectPrintable(fault);
        }
      }
    },
  };
});
