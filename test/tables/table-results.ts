import { readFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import Table from 'cli-table3';
import pc from 'picocolors';
import { z } from 'zod';
import type { TestTable } from './test-table.ts';

const LastResult = z.object({
  passed: z.int(),
  failed: z.int(),
  seconds: z.number(),
  /** When it was run, ISO 8601. */
  at: z.string(),
});
/** The result of a row's tests in their last run. */
export type LastResult = z.infer<typeof LastResult>;
const TableResults = z.partialRecord(z.string(), LastResult);
export type TableResults = z.infer<typeof TableResults>;

export const resultsFile = resolve(import.meta.dirname, '../../.ka/test-rows.json');

export const readResults = (file = resultsFile): TableResults => {
  try {
    return TableResults.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return {}; // nothing was run here yet
  }
};

/** Keeps the results of this run; a row that was not run keeps its earlier result. */
export const keepResults = async (ran: TableResults, file = resultsFile): Promise<TableResults> => {
  const results = { ...readResults(file), ...ran };
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.part`, `${JSON.stringify(results, null, 2)}\n`);
  await rename(`${file}.part`, file);
  return results;
};

/** The result of one test of a row; a test whose set-up failed has failed. */
export interface RowTest {
  row: string;
  state: 'passed' | 'failed';
  seconds: number;
}

export const resultsOf = (tests: readonly RowTest[], at: string): TableResults => {
  const results: TableResults = {};
  for (const { row, state, seconds } of tests) {
    const result = results[row] ?? { passed: 0, failed: 0, seconds: 0, at };
    results[row] = result;
    result[state] += 1;
    result.seconds = Math.round((result.seconds + seconds) * 10) / 10;
  }
  return results;
};

const isProven = (result: LastResult | undefined): boolean =>
  result !== undefined && result.failed === 0 && result.passed > 0;

/** The rows that are not proven. */
export const unproven = (results: TableResults, rows: TestTable['rows']): string[] =>
  rows.filter(({ id }) => !isProven(results[id])).map(({ id }) => id);

const resultText = (result: LastResult | undefined): string => {
  if (!result) return pc.red('not run');
  const { passed, failed, seconds, at } = result;
  const tests = failed === 0 ? `${passed} passed` : `${failed} of ${failed + passed} failed`;
  const text = `${tests} in ${seconds} s, ${at.slice(0, 16).replace('T', ' ')}`;
  return failed === 0 ? pc.green(text) : pc.red(text);
};

/** The table with the last result of each row, as people read it. */
export const tableReport = (
  results: TableResults,
  { columns, rows }: TestTable,
  width = process.stdout.isTTY ? process.stdout.columns : 140,
): string => {
  const [idWidth, resultWidth] = [Math.max(18, ...rows.map(({ id }) => id.length + 2)), 24];
  const free = Math.max(40, width - idWidth - resultWidth - columns.length - 3);
  const table = new Table({
    head: ['row', ...columns.map(({ head }) => head), 'last result'],
    colWidths: [idWidth, ...columns.map(({ share }) => Math.floor(free * share)), resultWidth],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  table.push(
    ...rows.map((row) => [row.id, ...columns.map(({ key }) => row[key] ?? ''), resultText(results[row.id])]),
  );
  const proven = rows.length - unproven(results, rows).length;
  return `${table.toString()}\n${proven} of ${rows.length} rows proven`;
};
