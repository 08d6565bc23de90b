import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createRun } from '../../host/run.ts';
import { buildSweepProgram } from './sweep-program.ts';

const run = createRun(() => undefined);
let folder: string;
let program: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ka-sweep-'));
  // Compiled for this machine: paths without a device can be run here.
  program = await buildSweepProgram(run, folder, 'gcc');
});
afterAll(() => rmSync(folder, { recursive: true }));

const compute = async (row: string) => {
  const output = join(folder, `${row}.out`);
  const { stdout } = await run([program, row, 'software', '-', output]);
  expect(JSON.parse(stdout)).toEqual({ device: null, frames: 4 });
  return readFileSync(output);
};

it('computes four different pictures without a stale byte', async () => {
  const pictures = await compute('imported');
  const size = 320 * 240 * 2;
  const frames = [0, 1, 2, 3].map((at) => pictures.toString('latin1', at * size, (at + 1) * size));
  expect(pictures).toHaveLength(4 * size);
  expect(new Set(frames).size).toBe(4);
  expect(pictures.includes(0x5a)).toBe(false);
  expect((await compute('exported')).equals(pictures)).toBe(true);
});

it('expects a starved reader to report it, once for each frame', async () => {
  const line = 'no frame: the wait for it timed out\n';
  expect((await compute('starved')).toString()).toBe(line.repeat(4));
});

it('reports an unknown row or path, and finds nothing', async () => {
  const output = join(folder, 'none.out');
  await expect(run([program, 'mapped', 'software', '-', output])).rejects.toThrow('there is no row mapped');
  await expect(run([program, 'imported', 'vaapi', '-', output])).rejects.toThrow('there is no path vaapi');
});
