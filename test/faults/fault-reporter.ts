import type { Reporter, Vitest } from 'vitest/node';
import { faultReport, keepResults, type RowTest, resultsOf, unproven } from './fault-results.ts';
import { faultTable } from './fault-table.ts';

/** Keeps the result of each row of the fault table, prints the table, and fails the run for a row that is not proven. */
export const faultReporter = (): Reporter => {
  let vitest: Vitest | undefined;
  return {
    onInit: (running) => {
      vitest = running;
    },
    onTestRunEnd: async (modules) => {
      const tests = modules.flatMap((module) =>
        [...module.children.allTests()].flatMap((test): RowTest[] => {
          const row = test.meta().faultRow;
          if (row === undefined || test.options.mode !== 'run') return [];
          // A test that was asked for and did not run has failed: what is set up before it did.
          const state = test.result().state === 'passed' ? 'passed' : 'failed';
          return [{ row, state, seconds: (test.diagnostic()?.duration ?? 0) / 1000 }];
        }),
      );
      const ran = resultsOf(tests, new Date().toISOString());
      const results = await keepResults(ran);
      const isWhole =
        vitest?.getGlobalTestNamePattern() === undefined &&
        modules.length === (await vitest?.globTestSpecifications())?.length;
      const rows = faultTable.filter(({ id }) => isWhole || ran[id]);
      if (rows.length === 0) return;
      const open = unproven(results, rows);
      console.log(`\n${faultReport(results, rows)}`);
      if (open.length === 0) return;
      console.log(`not proven: ${open.join(', ')}`);
      process.exitCode = 1;
    },
  };
};
