import type { TestContext } from 'vitest';
import { rowTest } from '../tables/test-table.ts';
import type { AttackId } from './attack-table.ts';

/** Makes an attack of the table: see `rowTest`. The title says what is done, and what must come of it. */
export const attack: (
  id: AttackId,
  title: string,
  test: (context: TestContext) => void | Promise<void>,
  timeoutMs?: number,
) => void = rowTest;
