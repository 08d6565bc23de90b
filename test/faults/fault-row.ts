import type { TestContext } from 'vitest';
import type { LabFaultId } from '../lab/lab-table.ts';
import { rowTest } from '../tables/test-table.ts';
import type { FaultId } from './fault-table.ts';

/** Makes one row of a fault table happen for real: see `rowTest`. */
export const faultRow: (
  id: FaultId | LabFaultId,
  title: string,
  test: (context: TestContext) => void | Promise<void>,
  timeoutMs?: number,
) => void = rowTest;
