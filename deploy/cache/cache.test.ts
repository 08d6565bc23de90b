import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { cached } from './cache.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ka-cache-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('removes what a killed process has left half-made, and nothing of a running one', async () => {
  // Above the highest pid that Linux gives, proc(5): pid_max.
  for (const name of ['root-1.part-4194305', `root-2.part-${process.ppid}`]) mkdirSync(join(folder, name));
  await cached(folder, 'thing', async (into) => writeFileSync(join(into, 'file'), ''));
  expect(readdirSync(folder).toSorted()).toEqual([`root-2.part-${process.ppid}`, 'thing']);
});
