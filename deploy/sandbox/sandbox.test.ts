import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { exampleNamed } from '../examples/examples.ts';
import { claimFolder } from '../local-fleet/claim-folder.ts';
import { provisionSandbox } from '../local-fleet/provision.ts';
import { holdSandbox, howToStop, sandboxHolder } from '../local-fleet/sandbox-lock.ts';
import { startSandbox, stopSandbox } from '../local-fleet/start-stop.ts';
import { defaultSandboxFolder } from '../places/default-folders.ts';
import { sandboxPlaces } from '../places/sandbox-places.ts';
import { identify, isRunning } from '../processes/process-identity.ts';
import { folderBoardMaking } from './folder-board.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ka-sandbox-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a folder that is no sandbox is not wiped', async () => {
  writeFileSync(join(folder, 'thesis.tex'), '');
  const { mode } = statSync(folder);
  await expect(
    provisionSandbox({ folder, example: exampleNamed('iteration-5'), board: folderBoardMaking }),
  ).rejects.toThrow(/holds files and is no sandbox/);
  expect(await readdir(folder)).toEqual(['thesis.tex']);
  expect(statSync(folder).mode).toBe(mode);
});

test('an empty folder that existed before keeps its mode, and a sandbox’s own is opened', async () => {
  const places = sandboxPlaces(folder);
  await expect(claimFolder(places)).rejects.toThrow(`${folder} is closed to other users`);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  writeFileSync(places.marker, '{}');
  await claimFolder(places);
  expect(statSync(folder).mode & 0o777).toBe(0o755);
});

test('a sandbox that a process holds is neither set up nor started again', async () => {
  const letGo = await holdSandbox(sandboxPlaces(folder));
  await expect(startSandbox(folder)).rejects.toThrow(`; stop it with \`ka down --dir ${folder}\` first`);
  await expect(holdSandbox(sandboxPlaces(folder))).rejects.toThrow(/runs in/);
  await letGo();
  expect(sandboxHolder(sandboxPlaces(folder))).toBeUndefined();
});

test('a lab is stopped by another command than a sandbox', () => {
  const places = sandboxPlaces(folder);
  writeFileSync(places.marker, JSON.stringify({ board: 'virtual' }));
  expect(howToStop(places)).toContain(`ka lab down --dir ${folder}`);
  expect(howToStop(sandboxPlaces(defaultSandboxFolder()))).toContain('`ka down`');
});

test('the lock of a process that has ended blocks nobody, even if its pid was given to another', async () => {
  const places = sandboxPlaces(folder);
  writeFileSync(places.lock, JSON.stringify({ pid: process.pid, startTicks: '1' }));
  expect(sandboxHolder(places)).toBeUndefined();
  const letGo = await holdSandbox(places);
  expect(sandboxHolder(places)?.pid).toBe(process.pid);
  await letGo();
});

test('stopping changes nothing if nothing runs', async () => {
  expect(await stopSandbox(folder)).toBe(false);
});

test('a folder without a sandbox starts none', async () => {
  await expect(startSandbox(folder)).rejects.toThrow(`there is no sandbox in ${folder}`);
});

test('a process is distinguished from an earlier one with the same pid', () => {
  const own = identify(process.pid);
  expect(own && isRunning(own)).toBe(true);
  expect(isRunning({ pid: process.pid, startTicks: '1' })).toBe(false);
});
