import type { Reporter, TestModule, Vitest } from 'vitest/node';
import { type FailedTest, failedTests } from './failed-tests.ts';
import { keepResults, type RowTest, resultsOf, tableReport, unproven } from './table-results.ts';
import type { TestTable } from './test-table.ts';

/** The failures of a file: its tests, and their set-up and tear-down. */
const failedOf = (module: TestModule): FailedTest[] => {
  const at = (line: number | undefined) =>
    `${module.relativeModuleId}${line === undefined ? '' : `:${line}`}`;
  const around = [module, ...module.children.allSuites()].map((suite) => ({
    place: at(suite.type === 'suite' ? suite.location?.line : undefined),
    name: suite.type === 'suite' ? suite.fullName : 'before or after its tests',
    messages: suite.errors().map(({ message }) => message),
  }));
  const tests = [...module.children.allTests('failed')].map((test) => {
    const errors = test.result().errors ?? [];
    const lines = errors.flatMap(({ stacks }) => stacks ?? []).filter(({ file }) => file === module.moduleId);
    return { place: at(lines[0]?.line), name: test.name, messages: errors.map(({ message }) => message) };
  });
  return [...around.filter(({ messages }) => messages.length > 0), ...tests];
};

/** Keeps the result of each row of a table, prints the table, and fails the run if a row is not proven. */
export const tableReporter = (table: TestTable): Reporter => {
  let vitest: Vitest | undefined;
  return {
    onInit: (running) => {
      vitest = running;
    },
    onTestRunEnd: async (modules, unhandled) => {
      const tests = modules.flatMap((module) =>
        [...module.children.allTests()].flatMap((test): RowTest[] => {
          const row = test.meta().tableRow;
          if (row === undefined || test.options.mode !== 'run') return [];
          // A selected test that did not run counts as failed, because its set-up failed.
          const state = test.result().state === 'passed' ? 'passed' : 'failed';
          return [{ row, state, seconds: (test.diagnostic()?.duration ?? 0) / 1000 }];
        }),
      );
      const ran = resultsOf(tests, new Date().toISOString());
      const results = await keepResults(ran);
      const isWhole =
        vitest?.getGlobalTestNamePattern() === undefined &&
        modules.length === (await vitest?.globTestSpecifications())?.length;
      const rows = table.rows.filter(({ id }) => isWhole || ran[id]);
      if (rows.length === 0) return;
      const open = unproven(results, rows);
      console.log(`\n${tableReport(results, { ...table, rows })}`);
      const outside = unhandled.map(({ message }) => ({
        place: 'any',
        name: 'outside of the tests',
        messages: [message],
      }));
      const failed = [...modules.flatMap(failedOf), ...outside];
      if (failed.length > 0) console.log(failedTests(failed));
      if (open.length === 0) return;
      console.log(`not proven: ${open.join(', ')}`);
      process.exitCode = 1;
    },
  };
};
