import { it, type TestContext } from 'vitest';
import type { LabFaultId } from '../lab/lab-table.ts';
import type { FaultId } from './fault-table.ts';

declare module 'vitest' {
  interface TaskMeta {
    /** The row of the fault table that this test proves. */
    faultRow?: FaultId | LabFaultId;
  }
}

/**
 * A test that makes one row of a fault table happen for real. A row may have many.
 * @param title what exactly is done, and what must be the result.
 * @param timeoutMs default: the suite's own.
 */
export const faultRow = (
  id: FaultId | LabFaultId,
  title: string,
  test: (context: TestContext) => void | Promise<void>,
  timeoutMs?: number,
): void =>
  it(
    `${id}: ${title}`,
    { meta: { faultRow: id }, ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }) },
    test,
  );
