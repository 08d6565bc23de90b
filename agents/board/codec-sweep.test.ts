import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRun } from '../../host/run.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { StepContext } from '../runtime/step.ts';
import { sweepTable } from './codec-sweep.ts';

describe('a cell of the sweep', () => {
  let folder: string;
  const cell = async (program: string, { device = false, repeats = 2, timeoutSeconds = 5 } = {}) => {
    const file = join(folder, 'sweep.sh');
    writeFileSync(file, `out=$4\n${program}\n`);
    const host = { sweep: { command: ['sh', file], fixturesFolder: folder, timeoutSeconds } };
    const context = {
      host: host as unknown as BoardConfig,
      run: createRun(() => undefined),
      note: () => undefined,
      workFolder: folder,
      signal: new AbortController().signal,
    } satisfies Partial<StepContext<BoardConfig>>;
    const request = { paths: [{ name: 'libva', device }], rows: [{ name: 'h264' }], repeats };
    return (await sweepTable(request, context))[0];
  };
  const answer = (device: string | null, frames: number) => `echo '${JSON.stringify({ device, frames })}'`;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sweep-'));
    mkdirSync(folder, { recursive: true });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is ok where every repeat gave the same bytes', async () => {
    expect(await cell(`echo frame > "$out"; ${answer('/dev/video0', 5)}`, { device: true })).toMatchObject({
      status: 'ok',
      device: '/dev/video0',
      frames: 5,
      hashes: [expect.any(String), expect.any(String)],
    });
  });

  it.each([
    ['differs between repeats', `date +%N > "$out"; ${answer('/dev/video0', 5)}`, 'unstable', undefined],
    ['names no device where one is needed', `echo a > "$out"; ${answer(null, 5)}`, 'no-device', undefined],
    ['ends with an exit code', 'echo broken >&2; exit 3', 'error', /exit code 3: broken/],
    ['is killed', 'kill -9 $$', 'error', /SIGKILL/],
    ['prints something else', `echo a > "$out"; echo hello`, 'error', /it said: hello/],
    ['prints two answers', `echo a > "$out"; ${answer('d', 5)}; ${answer('d', 5)}`, 'error', /One line/],
    ['writes no output', answer('/dev/video0', 5), 'error', /no output/],
    ['writes an empty output', `: > "$out"; ${answer('/dev/video0', 5)}`, 'error', /no frame/],
    ['counts no frame', `echo a > "$out"; ${answer('/dev/video0', 0)}`, 'error', /no frame/],
  ])('that %s has no hash to compare', async (_, program, status, error) => {
    const found = await cell(program, { device: true });
    expect(found).toMatchObject({ status });
    if (status !== 'no-device') expect(found?.sha256).toBeNull();
    if (error) expect(found?.error).toMatch(error);
  });

  it('is not run on a path that its row leaves out', async () => {
    const file = join(folder, 'sweep.sh');
    writeFileSync(file, `echo a > "$4"; ${answer('d', 1)}`);
    const context = {
      host: { sweep: { command: ['sh', file], fixturesFolder: folder, timeoutSeconds: 5 } } as BoardConfig,
      run: createRun(() => undefined),
      note: () => undefined,
      workFolder: folder,
      signal: new AbortController().signal,
    };
    const paths = ['image', 'modules', 'module'].map((name) => ({ name, device: true }));
    const rows = [{ name: 'release', paths: ['image', 'modules'] }, { name: 'rkvdec' }];
    const table = await sweepTable({ paths, rows, repeats: 1 }, context);
    expect(table.map(({ row, path }) => `${row} ${path}`)).toEqual([
      'release image',
      'release modules',
      'rkvdec image',
      'rkvdec modules',
      'rkvdec module',
    ]);
  });

  it('that hangs ends at its time limit', async () => {
    expect(await cell('exec sleep 30', { timeoutSeconds: 1 })).toMatchObject({
      status: 'error',
      error: expect.stringMatching(/did not end within 1 s/),
    });
  });

  it('that failed in one repeat is an error, whatever the others gave', async () => {
    const once = `[ -e "$0.ran" ] && exit 1; : > "$0.ran"; echo a > "$out"; ${answer('/dev/video0', 5)}`;
    expect(await cell(once)).toMatchObject({ status: 'error', sha256: null, hashes: [expect.any(String)] });
  });
});
