import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { createFlush } from './flush.ts';

it('flushes now and beside other work, and can be closed while it does', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ka-flush-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'log.db-wal');
  writeFileSync(file, 'frames');
  const trouble: unknown[] = [];
  const flush = createFlush(file, (error) => trouble.push(error));
  flush.now();
  for (let call = 0; call < 3; call += 1) flush.call();
  flush.close();
  flush.call();
  await sleep(100);
  expect(trouble).toEqual([]);
});
