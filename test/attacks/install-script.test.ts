import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect } from 'vitest';
import { ownTarget } from '../../deploy/enrol/node-gyp.ts';
import { sqliteAddon } from '../../deploy/enrol/sqlite-addon.ts';
import { createRun } from '../../host/run.ts';
import { testFolder } from '../ka.ts';
import { attack } from './attack.ts';

const checkout = resolve(import.meta.dirname, '../..');
let place: Awaited<ReturnType<typeof testFolder>>;
beforeAll(async () => {
  place = await testFolder('attack-script');
});
afterAll(() => place?.remove());

attack('install-script', 'no script of a package runs when packages are installed', async () => {
  const at = (name: string) => join(place.folder, name);
  for (const name of ['evil', 'checkout', 'checkout/.empty']) mkdirSync(at(name));
  const scripts = Object.fromEntries(
    ['preinstall', 'install', 'postinstall', 'prepare'].map((name) => [name, `echo ${name} >>${at('ran')}`]),
  );
  const json = (folder: string, content: unknown) =>
    writeFileSync(at(`${folder}/package.json`), JSON.stringify(content));
  json('evil', { name: 'evil', version: '1.0.0', scripts });
  writeFileSync(at('evil/binding.gyp'), `{ 'targets': [{ 'target_name': '<!(echo gyp >>${at('ran')})' }] }`);
  const npm = (folder: string, ...args: string[]) =>
    execa('npm', [...args, '--no-audit', '--no-fund', '--offline'], {
      cwd: at(folder),
      env: { npm_config_cache: at('cache') },
    });
  const { stdout } = await npm('evil', 'pack', '--silent', '--ignore-scripts');
  json('checkout', {
    name: 'c',
    version: '1.0.0',
    scripts,
    dependencies: { evil: `file:../evil/${stdout.trim()}` },
  });
  copyFileSync(join(checkout, '.npmrc'), at('checkout/.npmrc'));
  await npm('checkout', 'install');
  await npm('checkout', 'ci');
  expect(existsSync(at('checkout/node_modules/evil/package.json'))).toBe(true);
  expect(existsSync(at('ran'))).toBe(false);
});

attack('install-script', 'machine code that was not compiled here goes to no board', async () => {
  const sources = join(place.folder, 'better-sqlite3');
  mkdirSync(join(sources, 'build/Release'), { recursive: true });
  writeFileSync(join(sources, 'build/Release/better_sqlite3.node'), 'fetched from somewhere');
  const options = { run: createRun(() => undefined), onProgress: () => undefined, sources };
  const ask = () => sqliteAddon(ownTarget(), { ...options, cacheFolder: join(place.folder, 'addons') });
  // It would compile one, and these sources have none.
  await expect(ask()).rejects.toThrow(/better-sqlite3 could not be compiled/);
  // Not even with the hash of another one beside it.
  writeFileSync(join(sources, 'build/Release/better_sqlite3.node.compiled'), `${'0'.repeat(64)}\n`);
  await expect(ask()).rejects.toThrow(/better-sqlite3 could not be compiled/);
});

attack('install-script', 'every package that has an install script is known, and none is run', () => {
  const lock = JSON.parse(readFileSync(join(checkout, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { hasInstallScript?: boolean; integrity?: string; link?: boolean }>;
  };
  const withScript = Object.entries(lock.packages).filter(([, { hasInstallScript }]) => hasInstallScript);
  expect(withScript.map(([folder]) => folder)).toEqual([
    'node_modules/better-sqlite3', // compiled by ./ka
    'node_modules/cpu-features', // ssh2 works without it
    'node_modules/esbuild', // its program is a package of its own
    'node_modules/ssh2', // its cipher is compiled by ./ka too; it works without
  ]);
  const unchecked = Object.entries(lock.packages).filter(([folder, { integrity }]) => folder && !integrity);
  expect(unchecked).toEqual([]);
  expect(readFileSync(join(checkout, '.npmrc'), 'utf8')).toMatch(/^ignore-scripts=true$/m);
  expect(readFileSync(join(checkout, 'ka'), 'utf8')).toMatch(/npm ci --ignore-scripts /);
});
