import { spawn } from 'node:child_process';
import { createHash, randomInt } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createRun, type Run } from '../../../host/run.ts';
import type { BuilderConfig } from '../../../schemas/config.ts';
import { patienceMs } from '../../../test/patience.ts';
import { createGit } from '../git/git.ts';
import { builderConfig } from '../testdata/builder-config.ts';
import { confine, confinementMissing, confinementOf, whyUnconfined } from './confinement.ts';
import { createMakepkg } from './makepkg.ts';
import { openWorktree } from './worktree.ts';

const isRoot = process.getuid?.() === 0;
const nobody = { uid: 65534, gid: 65534 };
const other = isRoot ? nobody : undefined;
const why = await whyUnconfined(other);
if (why !== undefined)
  process.stderr.write(`no PKGBUILD can be confined here, so it is not tested: ${why}\n`);

const canary = `canary-${randomInt(2 ** 40)}`;
const run = createRun(() => undefined);
const served = 'from the network\n';
let folder: string;
let server: Server;
let asked: string[] = [];

/** The processes of this machine that run `sleep` with this time. */
const sleepers = (seconds: string): number[] =>
  readdirSync('/proc').flatMap((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8') === `sleep\0${seconds}\0` ? [Number(pid)] : [];
    } catch {
      return [];
    }
  });
const waitFor = async (holds: () => boolean) => {
  for (const until = Date.now() + patienceMs; !holds() && Date.now() < until; ) await sleep(20);
  return holds();
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ka-confined-'));
  await chmod(folder, 0o755);
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.end(served);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true, force: true });
});

/** A builder's folders with a hostile package, and everything that it prints. */
const attacked = async (name: string) => {
  const home = join(folder, name);
  const [at, outside] = [join(home, 'at'), join(home, 'outside')];
  for (const one of [at, outside]) await mkdir(one, { recursive: true });
  await chmod(outside, 0o777);
  const config = builderConfig(home);
  await writeFile(config.keyFile, 'secret\n', { mode: 0o600 });
  const open = join(home, 'open.pem');
  await writeFile(open, 'secret\n', { mode: 0o644 });
  const seconds = `${randomInt(10 ** 6, 10 ** 7)}.5`;
  const text = await readFile(new URL('testdata/hostile.PKGBUILD', import.meta.url), 'utf8');
  const facts: Record<string, string> = {
    key: config.keyFile,
    open,
    canary,
    port: String((server.address() as AddressInfo).port),
    outside,
    startdir: join(config.makepkg.worktreesFolder, 'hostile', 'package'),
    daemon: seconds,
    sum: createHash('sha256').update(served).digest('hex'),
  };
  await writeFile(
    join(at, 'PKGBUILD'),
    text.replace(/@([a-z]+)@/g, (_, fact: string) => facts[fact] ?? ''),
  );
  const spoken: { option: string; lines: string[] }[] = [];
  const listening: Run = async (argv, options) => {
    const ran = await run(argv, options);
    const option = argv.find((word) => /^--(printsrcinfo|verifysource|nobuild|noextract)$/.test(word));
    if (option) spoken.push({ option, lines: `${ran.stdout}\n${ran.stderr}`.split('\n') });
    return ran;
  };
  const said = (word: 'LOOKED' | 'GOT') =>
    spoken.flatMap(({ option, lines }) =>
      lines.filter((line) => line.startsWith(word)).map((line) => `${option}: ${line}`),
    );
  return { config, at, outside, open, seconds, said, makepkg: createMakepkg(listening, config) };
};

/** Builds it as the build step does. */
const build = async ({
  config,
  at,
  makepkg,
}: {
  config: BuilderConfig;
  at: string;
  makepkg: ReturnType<typeof createMakepkg>;
}) => {
  const packagesFolder = join(config.offeredFolder, 'part');
  const tree = await openWorktree(makepkg, join(config.makepkg.worktreesFolder, 'hostile'), 'hostile', {
    git: createGit(run, config),
    workFolder: folder,
    packagesFolder,
    epochSeconds: 1_700_000_000,
  });
  await mkdir(tree.place.packageFolder, { recursive: true });
  await writeFile(join(tree.place.packageFolder, 'PKGBUILD'), await readFile(join(at, 'PKGBUILD')));
  await makepkg.printSrcinfo(tree.place.packageFolder);
  const { found } = await tree.prepare();
  await tree.bringOver(found);
  await makepkg.give(packagesFolder);
  await tree.build(found);
  return { packagesFolder, place: tree.place };
};

describe.skipIf(why !== undefined)('what a confined hostile PKGBUILD gets', () => {
  let attack: Awaited<ReturnType<typeof attacked>>;
  let built: Awaited<ReturnType<typeof build>>;
  beforeAll(async () => {
    process.env.KA_TEST_CANARY = canary;
    asked = [];
    attack = await attacked('confined');
    built = await build(attack);
  });

  test('each makepkg runs it, and it gets only the network, while its sources are fetched', () => {
    expect([...new Set(attack.said('LOOKED'))]).toEqual([
      '--printsrcinfo: LOOKED top',
      '--verifysource: LOOKED top',
      '--nobuild: LOOKED prepare',
      '--nobuild: LOOKED top',
      '--noextract: LOOKED build',
      '--noextract: LOOKED package',
      '--noextract: LOOKED top',
    ]);
    expect([...new Set(attack.said('GOT'))]).toEqual(['--verifysource: GOT network top']);
    expect(asked.filter((url) => url === '/tree.txt')).toHaveLength(1);
  });

  test('it has changed nothing outside, and has left no process', async () => {
    expect(await readdir(attack.outside)).toEqual([]);
    expect(await waitFor(() => sleepers(attack.seconds).length === 0)).toBe(true);
  });

  test('its package is still made, from the source that it names', async () => {
    const file = join(built.packagesFolder, 'hostile-1-1-any.pkg.tar.zst');
    expect((await run(['bsdtar', '-xOf', file, 'tree.txt'])).stdout).toBe(served);
    const uid = other?.uid ?? process.getuid?.();
    expect(await attack.makepkg.confinement(built.place)).toEqual({
      by: 'bwrap',
      uid,
      network: false,
      fetched: true,
    });
  });

  test('a link that it put among the sources is not followed', async () => {
    // The link has the source's name: bwrap would bind what the link points at.
    const { sourcesFolder } = attack.config.makepkg;
    expect(await readlink(join(sourcesFolder, 'tree.link'))).toBe(attack.open);
    await rename(join(sourcesFolder, 'tree.link'), join(sourcesFolder, 'tree.txt'));
    await expect(attack.makepkg.build(built.place)).rejects.toThrow(/failure occurred in package\(\)/);
  });
});

describe('without confinement', () => {
  test('the same PKGBUILD gets the open key, the network and a process that stays: the test above can fail', async () => {
    const attack = await attacked('unconfined');
    asked = [];
    const { by } = await confinementOf(attack.config, async () => 'this host forbids it');
    expect(by).toBe('none');
    expect(await confinementMissing(attack.config)).toContain('this host forbids it');
    await attack.makepkg.printSrcinfo(attack.at);
    try {
      expect(attack.said('GOT')).toEqual(
        expect.arrayContaining(
          ['open', 'network', 'outside'].map((what) => `--printsrcinfo: GOT ${what} top`),
        ),
      );
      expect(asked).toContain('/spy');
      expect(existsSync(join(attack.outside, 'top'))).toBe(true);
    } finally {
      const left = sleepers(attack.seconds);
      for (const pid of left) process.kill(pid);
      expect(left).not.toEqual([]);
    }
  });

  test('with a config that requires confinement the PKGBUILD is not even read', async () => {
    const { config, at, said } = await attacked('required');
    const required = { ...config, makepkg: { ...config.makepkg, confinement: 'required' as const } };
    await expect(confinementOf(required, async () => 'this host forbids it')).rejects.toMatchObject({
      fault: 'host',
      message: expect.stringMatching(/"required".*this host forbids it; install bubblewrap/),
    });
    await expect(createMakepkg(run, required).printSrcinfo(at)).rejects.toMatchObject({ fault: 'host' });
    expect(said('LOOKED')).toEqual([]);
  });
});

describe.skipIf(why !== undefined)('what is confined', () => {
  const nothing = { files: [], folders: [] };
  const reach = { readable: [], writable: [], network: false };

  test('ends with its parent, although it has left its process group', async () => {
    const seconds = `${randomInt(10 ** 6, 10 ** 7)}.25`;
    const argv = confine(['setsid', 'sleep', seconds], reach, nothing, other);
    const parent = spawn('bash', ['-c', '"$@" & wait', '-', ...argv], { detached: true, stdio: 'ignore' });
    onTestFinished(() => void parent.kill('SIGKILL'));
    expect(await waitFor(() => sleepers(seconds).length === 1)).toBe(true);
    parent.kill('SIGKILL');
    expect(await waitFor(() => sleepers(seconds).length === 0)).toBe(true);
  });

  test('ends when its step is stopped, although it has left its process group', async () => {
    const seconds = `${randomInt(10 ** 6, 10 ** 7)}.75`;
    const stop = new AbortController();
    const argv = confine(['setsid', '--wait', 'sleep', seconds], reach, nothing, other);
    const running = createRun(() => undefined, stop.signal)(argv);
    onTestFinished(async () => {
      stop.abort(new Error('stopped'));
      await running.catch(() => undefined);
    });
    expect(await waitFor(() => sleepers(seconds).length === 1)).toBe(true);
    stop.abort(new Error('stopped'));
    await expect(running).rejects.toThrow('stopped');
    expect(await waitFor(() => sleepers(seconds).length === 0)).toBe(true);
  });

  test('does not see its own user’s key in a folder that it reads, nor that user’s processes', async () => {
    // As for an agent that is not root: then its own user is the one that builds.
    const place = join(folder, 'same-user');
    await mkdir(join(place, 'state'), { recursive: true });
    const files = ['key', 'state/journal', 'plain'].map((name) => join(place, name));
    for (const file of files) await writeFile(file, 'secret', { mode: 0o600 });
    const user = isRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'] : [];
    if (isRoot) for (const file of [place, join(place, 'state'), ...files]) await chown(file, 65534, 65534);
    const seen = async (secrets: Parameters<typeof confine>[2]) => {
      const script = 'for f; do [ -z "$(cat "$f" 2>/dev/null)" ] || echo "$f"; done; cat /proc/[0-9]*/comm';
      const argv = ['bash', '-c', script, '-', ...files];
      const { stdout } = await run([
        ...user,
        ...confine(argv, { ...reach, readable: [place] }, secrets, undefined),
      ]);
      return stdout.split('\n').filter((line) => line !== '');
    };
    const processes = ['bwrap', 'cat'];
    const [key = '', , plain = ''] = files;
    expect(await seen({ files: [key], folders: [join(place, 'state')] })).toEqual([plain, ...processes]);
    expect(await seen(nothing)).toEqual([...files, ...processes]);
  });
});
