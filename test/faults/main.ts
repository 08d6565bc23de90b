import { parseArgs } from 'node:util';
import { startVitest } from 'vitest/node';
import { labTable } from '../lab/lab-table.ts';
import { faultReport, readResults } from './fault-results.ts';
import { type Fault, faultTable } from './fault-table.ts';

const tables: Readonly<Record<string, readonly Fault[]>> = { faults: faultTable, lab: labTable };

/**
 * `main.ts faults|lab [--last] [--thorough] [FILTER…]`: runs the rows of that table whose id holds a FILTER, or all; with
 * --thorough those that wait for a time wait as long as in a real fleet; with --last it only shows the last results.
 */
const {
  values,
  positionals: [suite = 'faults', ...positionals],
} = parseArgs({
  options: {
    last: { type: 'boolean', default: false },
    thorough: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const table = tables[suite];
if (!table) throw new Error(`there is no table ${suite}`);
const rows = table.filter(
  ({ id }) => positionals.length === 0 || positionals.some((filter) => id.includes(filter)),
);
if (rows.length === 0) {
  const ids = table.map(({ id }) => id).join(' ');
  process.stderr.write(`ka: no fault’s row has ${positionals.join(' or ')} in its name; there are: ${ids}\n`);
  process.exitCode = 2;
} else if (values.last) {
  console.log(faultReport(readResults(), rows));
} else {
  const testNamePattern = `(^| )(${rows.map(({ id }) => id).join('|')}): `;
  const vitest = await startVitest('test', [], {
    run: true,
    config: `${import.meta.dirname}/../${suite}/vitest.config.ts`,
    ...(values.thorough ? { env: { KA_TEST_THOROUGH: 'yes' } } : {}),
    ...(positionals.length === 0 ? {} : { testNamePattern }),
  });
  await vitest.exit();
}
