import { readFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import Table from 'cli-table3';
import pc from 'picocolors';
import { z } from 'zod';
import type { LabFaultId } from '../lab/lab-table.ts';
import { type Fault, type FaultId, faultTable } from './fault-table.ts';

const LastResult = z.object({
  passed: z.int(),
  failed: z.int(),
  seconds: z.number(),
  /** When it was run, ISO 8601. */
  at: z.string(),
});
/** The result of a row's tests in their last run. */
export type LastResult = z.infer<typeof LastResult>;
const FaultResults = z.partialRecord(z.string(), LastResult);
export type FaultResults = z.infer<typeof FaultResults>;

export const resultsFile = resolve(import.meta.dirname, '../../.ka/faults.json');

export const readResults = (file = resultsFile): FaultResults => {
  try {
    return FaultResults.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return {}; // nothing was run here yet
  }
};

/** Keeps the results of this run; a row that was not run keeps its earlier result. */
export const keepResults = async (ran: FaultResults, file = resultsFile): Promise<FaultResults> => {
  const results = { ...readResults(file), ...ran };
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.part`, `${JSON.stringify(results, null, 2)}\n`);
  await rename(`${file}.part`, file);
  return results;
};

/** The result of one test of a row; a test whose set-up failed has failed. */
export interface RowTest {
  row: FaultId | LabFaultId;
  state: 'passed' | 'failed';
  seconds: number;
}

export const resultsOf = (tests: readonly RowTest[], at: string): FaultResults => {
  const results: FaultResults = {};
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
export const unproven = (results: FaultResults, rows: readonly Fault[] = faultTable): string[] =>
  rows.filter(({ id }) => !isProven(results[id])).map(({ id }) => id);

const resultText = (result: LastResult | undefined): string => {
  if (!result) return pc.red('not run');
  const { passed, failed, seconds, at } = result;
  const tests = failed === 0 ? `${passed} passed` : `${failed} of ${failed + passed} failed`;
  const text = `${tests} in ${seconds} s, ${at.slice(0, 16).replace('T', ' ')}`;
  return failed === 0 ? pc.green(text) : pc.red(text);
};

/** The fault table with the last result of each row, as people read it. */
export const faultReport = (
  results: FaultResults,
  rows: readonly Fault[] = faultTable,
  width = process.stdout.isTTY ? process.stdout.columns : 140,
): string => {
  const [idWidth, resultWidth] = [18, 24];
  const free = Math.max(40, width - idWidth - resultWidth - 5);
  const faultWidth = Math.round(free * 0.4);
  const table = new Table({
    head: ['row', 'fault', 'expected', 'last result'],
    colWidths: [idWidth, faultWidth, free - faultWidth, resultWidth],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  table.push(...rows.map(({ id, fault, expected }) => [id, fault, expected, resultText(results[id])]));
  const proven = rows.length - unproven(results, rows).length;
  return `${table.toString()}\n${proven} of ${rows.length} rows proven`;
};
