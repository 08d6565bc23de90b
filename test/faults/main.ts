import { parseArgs } from 'node:util';
import { startVitest } from 'vitest/node';
import { faultReport, readResults } from './fault-results.ts';
import { faultTable } from './fault-table.ts';

/** `main.ts [--last] [FILTER…]`: runs the rows whose id holds a FILTER, or all; with --last it only shows what was. */
const { values, positionals } = parseArgs({
  options: { last: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const rows = faultTable.filter(
  ({ id }) => positionals.length === 0 || positionals.some((filter) => id.includes(filter)),
);
if (rows.length === 0) {
  const ids = faultTable.map(({ id }) => id).join(' ');
  process.stderr.write(`ka: no fault’s row has ${positionals.join(' or ')} in its name; there are: ${ids}\n`);
  process.exitCode = 2;
} else if (values.last) {
  console.log(faultReport(readResults(), rows));
} else {
  const testNamePattern = `(^| )(${rows.map(({ id }) => id).join('|')}): `;
  const vitest = await startVitest('test', [], {
    run: true,
    config: `${import.meta.dirname}/vitest.config.ts`,
    ...(positionals.length === 0 ? {} : { testNamePattern }),
  });
  await vitest.exit();
}
