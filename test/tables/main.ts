import { parseArgs } from 'node:util';
import { startVitest } from 'vitest/node';
import { attacks } from '../attacks/attack-table.ts';
import { faults } from '../faults/fault-table.ts';
import { labFaults } from '../lab/lab-table.ts';
import { readResults, tableReport } from './table-results.ts';
import type { TestTable } from './test-table.ts';

const tables: Readonly<Record<string, TestTable>> = { faults, attacks, lab: labFaults };

/**
 * `main.ts faults|attacks|lab [--last] [--thorough] [FILTER…]`: runs the rows of that table whose id holds a FILTER, or all;
 * with --thorough those that wait for a time wait as long as in a real fleet; with --last it only shows the last results.
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
const rows = table.rows.filter(
  ({ id }) => positionals.length === 0 || positionals.some((filter) => id.includes(filter)),
);
if (rows.length === 0) {
  const ids = table.rows.map(({ id }) => id).join(' ');
  process.stderr.write(
    `ka: no row of ${suite} has ${positionals.join(' or ')} in its name; there are: ${ids}\n`,
  );
  process.exitCode = 2;
} else if (values.last) {
  console.log(tableReport(readResults(), { ...table, rows }));
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
