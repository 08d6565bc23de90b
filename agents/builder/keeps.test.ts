import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createRun } from '../../host/run.ts';
import type { BuilderConfig } from '../../schemas/config.ts';
import type { HostIterations } from '../runtime/disks/host-iterations.ts';
import { overLimit } from '../runtime/disks/over-limit.ts';
import { builderKeeps } from './keeps.ts';
import { noteSources } from './makepkg/used-sources.ts';
import { builderConfig } from './testdata/builder-config.ts';

let folder: string;
let config: BuilderConfig;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ka-builder-keeps-'));
  config = builderConfig(folder);
  for (const each of [config.stateFolder, config.offeredFolder, config.makepkg.sourcesFolder])
    await mkdir(each);
});
afterEach(() => rm(folder, { recursive: true }));

const open = (...iterations: string[]): HostIterations => ({
  isOpen: (iteration) => iterations.includes(iteration),
  openAttempts: () => [],
  effect: () => undefined,
  requestOf: () => undefined,
});
/** Keeps one thing of a kind, besides what is needed. */
const clean = async (kind: string, iterations: HostIterations, number = 1) => {
  const kept = await builderKeeps(config, { run: createRun(() => undefined) })
    .find((each) => each.kind === kind)
    ?.list(iterations, undefined);
  for (const one of overLimit(kept ?? [], { number }, { now: Date.now(), sizeOf: () => 0 }))
    await one.remove();
};
const agedFolder = async (path: string, hours: number) => {
  await mkdir(path, { recursive: true });
  await writeFile(join(path, 'file'), 'x');
  const at = new Date(Date.now() - hours * 3_600_000);
  await utimes(path, at, at);
};

it('keeps the last offers and those of iterations that go on, and leaves alone what is no offer', async () => {
  for (const [name, hours] of [
    ['a.1', 9],
    ['b.1', 8],
    ['c.1', 7],
    ['d.2.part', 20],
    ['by-hand', 30],
  ] as const)
    await agedFolder(join(config.offeredFolder, name), hours);
  await clean('offers', open('a'), 2);
  expect((await readdir(config.offeredFolder)).sort()).toEqual(['a.1', 'by-hand', 'c.1', 'd.2.part']);
});

it('keeps the worktrees that were used last', async () => {
  const { worktreesFolder } = config.makepkg;
  for (const [name, hours] of [
    ['linux-a', 9],
    ['linux-b', 8],
    ['.asked-x', 90],
  ] as const)
    await agedFolder(join(worktreesFolder, name), hours);
  await writeFile(join(worktreesFolder, 'linux-a', 'outputs.json'), '{}');
  await clean('trees', open());
  expect((await readdir(worktreesFolder)).sort()).toEqual(['.asked-x', 'linux-a']);
});

it('keeps the sources of the last two builds of a pkgbase, of what goes on, and what a person put there', async () => {
  const { sourcesFolder } = config.makepkg;
  for (const file of ['v1.tar', 'v2.tar', 'v3.tar', 'v4.tar', 'shared.tar', 'by-hand.tar'])
    await writeFile(join(sourcesFolder, file), file);
  const use = (iteration: string, ...files: string[]) =>
    noteSources(config, { iteration, base: 'linux', files: [...files, '../../key'] });
  await use('a', 'v1.tar', 'shared.tar');
  await use('b', 'v2.tar');
  await use('c', 'v3.tar', 'shared.tar');
  await use('d', 'v4.tar');
  await clean('sources', open('a'), 0);
  expect((await readdir(sourcesFolder)).sort()).toEqual([
    'by-hand.tar',
    'shared.tar',
    'v1.tar',
    'v3.tar',
    'v4.tar',
  ]);
  await clean('sources', open(), 0);
  expect((await readdir(sourcesFolder)).sort()).toEqual(['by-hand.tar', 'shared.tar', 'v3.tar', 'v4.tar']);
});

it('remembers the last use of a source, however many builds use another one', async () => {
  const { sourcesFolder } = config.makepkg;
  await writeFile(join(sourcesFolder, 'v1.tar'), 'x');
  await noteSources(config, { iteration: 'a', base: 'linux', files: ['v1.tar'] });
  for (let nth = 0; nth < 120; nth += 1)
    await noteSources(config, { iteration: `b${nth}`, base: 'linux', files: ['v2.tar'] });
  await clean('sources', open(), 0);
  expect(await readdir(sourcesFolder)).toEqual([]);
});

it('a damaged record of what was used removes nothing, and is begun again by the next build', async () => {
  const { sourcesFolder } = config.makepkg;
  await writeFile(join(sourcesFolder, 'v1.tar'), 'x');
  await writeFile(join(config.stateFolder, 'sources.json'), '{');
  await expect(clean('sources', open(), 0)).rejects.toThrow('sources.json is damaged');
  await noteSources(config, { iteration: 'a', base: 'linux', files: ['v2.tar'] });
  await clean('sources', open(), 0);
  expect(await readdir(sourcesFolder)).toEqual(['v1.tar']);
});
