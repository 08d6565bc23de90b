import { it, type TestContext } from 'vitest';

declare module 'vitest' {
  interface TaskMeta {
    /** The row of a table that this test proves. */
    tableRow?: string;
  }
}

/** A table whose rows are proven by tests: of faults, of attacks. */
export interface TestTable {
  /** The columns between the row's id and its last result: their heads, and their shares of the width, which add up to 1. */
  columns: readonly { key: string; head: string; share: number }[];
  rows: readonly ({ id: string } & Readonly<Record<string, string>>)[];
}

/**
 * A test that proves one row of a table. A row may have many.
 * @param title what exactly is done, and what must be the result.
 * @param timeoutMs default: the suite's own.
 */
export const rowTest = (
  id: string,
  title: string,
  test: (context: TestContext) => void | Promise<void>,
  timeoutMs?: number,
): void =>
  it(
    `${id}: ${title}`,
    { meta: { tableRow: id }, ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }) },
    test,
  );
