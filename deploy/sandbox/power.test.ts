import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createRun } from '../../host/run.ts';
import { sandboxPlaces } from '../places/sandbox-places.ts';
import { environmentCommand } from './board-root.ts';
import { boot as bootBoard, bootedKernel } from './power.ts';

let places: ReturnType<typeof sandboxPlaces>;
const run = createRun(() => undefined);
const boot = (of: typeof places) => bootBoard(run, of);
const install = (text: string) => writeFileSync(join(places.root, 'boot/Image'), text);

beforeEach(() => {
  places = sandboxPlaces(mkdtempSync(join(tmpdir(), 'ka-power-')));
  mkdirSync(dirname(places.board.extlinux), { recursive: true });
  writeFileSync(places.board.extlinux, 'DEFAULT a\nLABEL a\n  KERNEL /boot/Image\n');
  install('\0Linux version 7.0.0-x (me@here) #1 today\n\0');
});
afterEach(() => rmSync(places.folder, { recursive: true, force: true }));

test('the default entry’s kernel is the one that boots', () => {
  const text = 'default new\nlabel old\n  kernel /boot/old\nLABEL new\n  MENU LABEL x\n  LINUX /boot/new\n';
  expect(bootedKernel(text)).toBe('/boot/new');
  expect(bootedKernel('LABEL only\n KERNEL /boot/only\n')).toBe('/boot/only');
  expect(bootedKernel('DEFAULT gone\nLABEL a\n KERNEL /boot/a\n')).toBeUndefined();
  expect(bootedKernel(text, 'old')).toBe('/boot/old');
  expect(bootedKernel(text, 'gone')).toBe('/boot/new');
});

test('each boot has its own id, and a later install runs only after the next boot', async () => {
  const first = await boot(places);
  expect(first).toMatchObject({ up: true, release: '7.0.0-x' });
  install('Linux version 7.0.0-x (me@here) #2 tomorrow\n');
  expect(readFileSync(places.board.versionFile, 'utf8')).toBe('Linux version 7.0.0-x (me@here) #1 today\n');
  expect(readFileSync(places.board.runningImage, 'latin1')).toContain('#1');
  writeFileSync(places.board.rebootFile, '');
  const second = await boot(places);
  expect(readFileSync(places.board.versionFile, 'utf8')).toContain('#2 tomorrow');
  expect(existsSync(places.board.rebootFile)).toBe(false);
  expect(second.up && first.up && second.bootId !== first.bootId).toBe(true);
  expect(readFileSync(places.board.bootsFile, 'utf8').split('\n')).toEqual([
    expect.stringMatching(/#1 today$/),
    expect.stringMatching(/#2 tomorrow$/),
    '',
  ]);
  expect(readFileSync(places.board.bootIdFile, 'utf8')).toBe(`${second.up && second.bootId}\n`);
});

test('a board whose image is missing, or is no kernel, does not come up', async () => {
  install('nothing');
  expect(await boot(places)).toMatchObject({ up: false, why: expect.stringContaining('is no kernel') });
  rmSync(join(places.root, 'boot/Image'));
  expect(await boot(places)).toMatchObject({ up: false, why: expect.stringContaining('not there') });
});

test('a label that the environment names boots once', async () => {
  const { board, root } = places;
  writeFileSync(board.extlinux, 'DEFAULT a\nLABEL a\n  KERNEL /boot/Image\nLABEL b\n  KERNEL /boot/b\n');
  writeFileSync(join(root, 'boot/b'), 'Linux version 7.0.0-b (me@here) #2 today\n');
  mkdirSync(dirname(board.environment), { recursive: true });
  writeFileSync(board.environment, Buffer.alloc(4096));
  writeFileSync(board.environmentConfig, `${board.environment} 0x0 0x1000\n`);
  writeFileSync(join(places.folder, 'initial'), 'bootdelay=2\n');
  const set = environmentCommand(places, 'fw_setenv');
  await run([...set, '--defenv', join(places.folder, 'initial'), 'ka_trial', 'b']);
  expect(await boot(places)).toMatchObject({ release: '7.0.0-b' });
  expect(await boot(places)).toMatchObject({ release: '7.0.0-x' });
});
