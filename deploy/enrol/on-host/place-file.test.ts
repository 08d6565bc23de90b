import { hash } from 'node:crypto';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fileState, placeFile, placeFolder, placeLink } from './place-file.ts';

let folder: string;
const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ka-place-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const wanted = (bytes: string) => ({
  path: join(folder, 'agent.yaml'),
  mode: 0o640,
  owner,
  sha256: hash('sha256', bytes, 'hex'),
});

it('puts a file in its place with its mode, and leaves it alone once it is right', async () => {
  const file = wanted('role: board\n');
  expect(await fileState(file)).toBe('absent');
  expect(await placeFile(file, Buffer.from('role: board\n'))).toBe(true);
  expect(statSync(file.path).mode & 0o7777).toBe(0o640);
  const { ino } = statSync(file.path);
  expect(await placeFile(file, Buffer.from('role: board\n'))).toBe(false);
  expect(statSync(file.path).ino).toBe(ino);
});

it.each([
  ['bytes', (path: string) => writeFileSync(path, 'role: builder\n')],
  ['mode', (path: string) => chmodSync(path, 0o666)],
  ['presence', (path: string) => rmSync(path)],
])('corrects it if its %s differs, even over an interrupted run’s leftover', async (_what, spoil) => {
  const file = wanted('role: board\n');
  await placeFile(file, Buffer.from('role: board\n'));
  spoil(file.path);
  writeFileSync(`${file.path}.part`, 'half');
  expect(await placeFile(file, Buffer.from('role: board\n'))).toBe(true);
  expect(await fileState(file)).toBe('same');
  expect(readdirSync(folder)).toEqual(['agent.yaml']);
});

it('accepts only the announced bytes', async () => {
  await expect(placeFile(wanted('role: board\n'), Buffer.from('role: builder\n'))).rejects.toThrow(
    'arrived with other bytes',
  );
  expect(readdirSync(folder)).toEqual([]);
});

it('makes a folder, and gives an existing one its mode without touching its content', async () => {
  const path = join(folder, 'keys');
  expect(await placeFolder({ path, mode: 0o700, owner })).toBe(true);
  writeFileSync(join(path, 'host.nkey'), 'seed');
  chmodSync(path, 0o777);
  expect(await placeFolder({ path, mode: 0o700, owner })).toBe(true);
  expect(await placeFolder({ path, mode: 0o700, owner })).toBe(false);
  expect(readFileSync(join(path, 'host.nkey'), 'utf8')).toBe('seed');
});

it('points a link to its new target, and leaves one that is right alone', async () => {
  const path = join(folder, 'current');
  for (const target of ['build-1', 'build-2']) {
    expect(await placeLink(path, target)).toBe(true);
    expect(readlinkSync(path)).toBe(target);
  }
  expect(await placeLink(path, 'build-2')).toBe(false);
});
