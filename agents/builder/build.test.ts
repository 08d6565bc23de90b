import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { openEnvelope } from '../../eventlog/signing/envelope.ts';
import {
  BuildParameters,
  type DsseEnvelope,
  ProvenanceStatement,
  TestResultStatement,
} from '../../schemas/attestation.ts';
import type { BuilderConfig } from '../../schemas/config.ts';
import { sha256 } from '../../schemas/hash.ts';
import { runStep } from '../../test/run-step.ts';
import { StepFailed } from '../runtime/errors.ts';
import { build } from './build.ts';
import { patchsetHash } from './series/series.ts';
import { builderConfig } from './testdata/builder-config.ts';

let folder: string;
let config: BuilderConfig;
let repository: string;
let attempt = 0;

const sh = (cwd: string, command: string): string =>
  execFileSync('bash', ['-euc', command], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

const pkgbuild = (pkgrel: number, patches: string[], more = '') => `pkgname=tiny
pkgver=1.0
pkgrel=${pkgrel}
arch=(aarch64)
options=(!strip)
source=(tree.tar ${patches.join(' ')})
sha256sums=(@tree@ ${patches.map((file) => `@${file}@`).join(' ')})
prepare() {
  cd tree
  ${patches.map((file) => `patch -Np1 -i ../${file}`).join('\n  ')}
  ${more}
}
build() { make -C tree; }
package() { install -D tree/tiny "$pkgdir/usr/bin/tiny"; }
`;

/** Commits the package with these patches. @returns the commit. */
const commit = (pkgrel: number, patches: string[], { more = '', edit = (text: string) => text } = {}) => {
  const at = join(repository, 'arch', 'tiny');
  const sum = (file: string) => sh(at, `sha256sum ${file} | cut -c-64`).trim();
  let text = pkgbuild(pkgrel, patches, more).replace('@tree@', sum('tree.tar'));
  for (const file of patches) text = text.replace(`@${file}@`, sum(file));
  execFileSync('tee', [join(at, 'PKGBUILD')], { input: edit(text), stdio: ['pipe', 'ignore', 'inherit'] });
  const git = 'git -c user.name=x -c user.email=x@example.org';
  return sh(repository, `${git} add -A; ${git} commit -qm "tiny ${pkgrel}"; git rev-parse HEAD`).trim();
};

/** What was reviewed: these patches, as the repository holds them. */
const sourceOf = async (patches: string[]) => ({
  planSha256: sha256('plan'),
  baseline: { tag: 'v1.0', commit: sha256('baseline').slice(0, 40) },
  tree: sha256('tree').slice(0, 40),
  patchset: patchsetHash(
    await Promise.all(
      patches.map(async (file) => ({ text: await readFile(join(repository, 'arch/tiny', file), 'utf8') })),
    ),
  ),
  patches,
});
type Source = Awaited<ReturnType<typeof sourceOf>>;

/** A commit's own PKGBUILD stands for a series, if the test is about something else. */
const sourceAt = async (id: string): Promise<Source> => {
  const show = await execa('git', ['-C', repository, 'show', `${id}:arch/tiny/PKGBUILD`], {
    reject: false,
    stripFinalNewline: false,
  });
  return { ...(await sourceOf([])), patches: ['PKGBUILD'], patchset: patchsetHash([{ text: show.stdout }]) };
};

const run = async (
  id: string,
  pkgrel: number,
  { signal, source }: { signal?: AbortSignal; source?: Source } = {},
) =>
  runStep(
    'build',
    build,
    {
      commit: id,
      source: source ?? (await sourceAt(id)),
      package: {
        repository: 'packages',
        branch: 'main',
        folder: 'arch/tiny',
        base: 'tiny',
        names: ['tiny'],
        from: '1.0-1',
        to: `1.0-${pkgrel}`,
        release: '1.0',
      },
    },
    config,
    { folder: join(folder, 'state'), attempt, ...(signal ? { signal } : {}) },
  );

/** Starts the attempt and stops it as soon as the worktree holds a file of that name. */
const runUntil = async (name: string, id: string, pkgrel: number): Promise<void> => {
  const stop = new AbortController();
  const poll = setInterval(() => {
    if (existsSync(join(config.makepkg.worktreesFolder, 'tiny', name))) stop.abort(new Error('killed'));
  }, 5);
  try {
    await expect(run(id, pkgrel, { signal: stop.signal })).rejects.toThrow('killed');
  } finally {
    clearInterval(poll);
  }
};

/** What boltzmann has signed. */
const statementIn = <Schema extends z.ZodType>(schema: Schema, envelope: DsseEnvelope | undefined) => {
  if (!envelope) throw new Error('nothing is attested');
  const bytes = openEnvelope([testKey('boltzmann').publicKey], envelope);
  return schema.parse(JSON.parse(new TextDecoder().decode(bytes)));
};

const compiled = (lines: string[]) => lines.flatMap((line) => /^ {2}CC {6}(.*)/.exec(line)?.[1] ?? []).sort();
const binary = (file: string) =>
  execFileSync('bsdtar', ['-xOf', join(config.offeredFolder, `iter5.${attempt}`, file), 'usr/bin/tiny'], {
    encoding: 'latin1',
  });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ka-build-'));
  await chmod(folder, 0o755);
  await mkdir(join(folder, 'state'), { mode: 0o700 });
  repository = join(folder, 'packages');
  config = builderConfig(folder, { repositories: { packages: repository } });
  const at = join(repository, 'arch', 'tiny');
  const tree = join(at, 'tree');
  await mkdir(tree, { recursive: true });
  await writeFile(
    join(tree, 'Makefile'),
    'tiny: main.o part.o\n\tgcc -o $@ $^\n%.o: %.c\n\t@echo "  CC      $<"\n\t@gcc -c -o $@ $<\n',
  );
  await writeFile(join(tree, 'main.c'), 'char *part(void);\nint main(void) { return !part(); }\n');
  await writeFile(join(tree, 'part.c'), 'char *part(void) { return "unpatched"; }\n');
  // The same bytes each time: makepkg's answers are remembered by them.
  sh(
    at,
    'tar --sort=name --owner=0 --group=0 --mtime=@1700000000 -cf tree.tar tree; cp -r tree a; cp -r a b',
  );
  const diff = 'diff -u --label a/part.c --label b/part.c a/part.c b/part.c';
  sh(at, `sed -i "s/unpatched/one-patch/" b/part.c; ${diff} > 1.patch || :`);
  sh(at, `cp b/part.c a/; sed -i "s/one-patch/two-patches/" b/part.c; ${diff} > 2.patch || :`);
  sh(at, 'rm -r a b tree');
  sh(repository, 'git init -q -b main .');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

// For each build makepkg alone takes seconds of processor time.
describe('build', () => {
  test('builds the commit, and for the next one only what differs, although it was cut in between', async () => {
    const first = commit(2, ['1.patch', '2.patch']);
    const second = commit(3, ['1.patch']);

    attempt = 1;
    const source = await sourceOf(['1.patch', '2.patch']);
    const one = await run(first, 2, { source });
    const provenance = statementIn(ProvenanceStatement, one.evidence.attestation);
    expect(provenance.subject).toEqual(
      one.evidence.packages.map(({ file, sha256: hash }) => ({ name: file, digest: { sha256: hash } })),
    );
    const { buildDefinition, runDetails } = provenance.predicate;
    expect(BuildParameters.parse(buildDefinition.externalParameters)).toMatchObject({
      ...{ iteration: 'iter5', attempt: 1, commit: first, version: '1.0-2' },
      ...{ planSha256: source.planSha256, tree: source.tree, patchset: source.patchset },
    });
    const patch = await readFile(join(repository, 'arch/tiny/1.patch'));
    expect(buildDefinition.resolvedDependencies).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'baseline', digest: { gitCommit: source.baseline.commit } }),
        { name: 'packages', digest: { gitCommit: first } },
        { name: 'arch/tiny/1.patch', digest: { sha256: sha256(patch) } },
        { name: 'arch/tiny/PKGBUILD', digest: expect.anything() },
      ]),
    );
    const built = join(config.offeredFolder, 'iter5.1', 'tiny-1.0-2-aarch64.pkg.tar.zst');
    const buildinfo = execFileSync('bsdtar', ['-xOf', built, '.BUILDINFO']);
    expect(runDetails.byproducts).toEqual([{ name: '.BUILDINFO', digest: { sha256: sha256(buildinfo) } }]);
    expect(one.evidence.packages.map(({ file }) => file)).toEqual(['tiny-1.0-2-aarch64.pkg.tar.zst']);
    expect(one.evidence.buildinfo.startdir).toEqual([
      join(config.makepkg.worktreesFolder, 'tiny', 'package'),
    ]);
    expect(one.evidence.output.lines).toBeGreaterThan(10);
    expect(compiled(one.lines)).toEqual(['main.c', 'part.c']);
    expect(one.evidence).toMatchObject({ compiled: 2 });
    expect(one.evidence).not.toHaveProperty('before');
    expect(binary('tiny-1.0-2-aarch64.pkg.tar.zst')).toContain('two-patches');

    // The state after a run that was cut after it had copied a file of another series.
    const worktree = join(config.makepkg.worktreesFolder, 'tiny');
    const list = JSON.parse(await readFile(join(worktree, 'prepared.json'), 'utf8'));
    const ghost = join(worktree, 'build', 'tiny', 'src', 'tree', 'ghost.c');
    await writeFile(ghost, '');
    await writeFile(join(worktree, 'prepared.json'), JSON.stringify([...list, 'tree/ghost.c']));

    attempt = 2;
    await runUntil('build/tiny/src.kept', second, 3);
    expect(existsSync(join(config.offeredFolder, 'iter5.2'))).toBe(false);
    const two = await run(second, 3);
    expect(compiled(two.lines)).toEqual(['part.c']);
    const remembered = { commit: first, seconds: one.evidence.seconds, compiled: 2 };
    expect(two.evidence).toMatchObject({ compiled: 1, before: { last: remembered, first: remembered } });
    // Gone: the ghost, and the link to the dropped patch.
    expect(two.evidence.sources).toMatchObject({ changed: 1, removed: 2 });
    expect(existsSync(ghost)).toBe(false);
    expect(binary('tiny-1.0-3-aarch64.pkg.tar.zst')).toContain('one-patch');
    expect(binary('tiny-1.0-3-aarch64.pkg.tar.zst')).not.toContain('two-patches');

    // The offer is there, but its result was not journalled: the probe finds it and nothing is built again.
    const journal = new Database(join(folder, 'state', 'journal.db'));
    journal.prepare("UPDATE effect SET result = NULL WHERE name = 'packages' AND attempt = 2").run();
    journal.close();
    const again = await run(second, 3);
    expect(again.evidence).toEqual(two.evidence);
    expect(again.lines).toEqual([]);
  });

  test('after a kill, nothing that the killed build left counts as finished', async () => {
    const third = commit(4, ['2.patch', '1.patch'].reverse());
    attempt = 3;
    await runUntil('building', third, 4);
    const { lines, evidence } = await run(third, 4);
    expect(compiled(lines)).toEqual(['main.c', 'part.c']);
    expect(evidence).not.toHaveProperty('before');
    expect(evidence.packages).toHaveLength(1);
    expect(existsSync(join(config.makepkg.worktreesFolder, 'tiny', 'builds.json'))).toBe(true);
    expect(await readdir(config.offeredFolder)).not.toContain('iter5.3.part');
  });

  test('a patch that does not apply fails prepare()', async () => {
    attempt = 4;
    const failed = run(commit(5, ['2.patch']), 5);
    await expect(failed).rejects.toMatchObject({
      fault: 'work',
      message: expect.stringMatching(/exit code 4, .*failure occurred in prepare\(\)/),
    });
  });

  test('a compile error fails build()', async () => {
    attempt = 5;
    const id = commit(6, [], { more: 'echo "int x = ;" >> main.c' });
    const failed = run(id, 6);
    await expect(failed).rejects.toMatchObject({
      fault: 'work',
      message: expect.stringMatching(/exit code 4, .*failure occurred in build\(\)/),
    });
    const error = await failed.catch((thrown: unknown) => thrown);
    if (!(error instanceof StepFailed)) throw error;
    const told = statementIn(TestResultStatement, error.attestation);
    expect(told.subject).toEqual([{ name: 'packages', digest: { gitCommit: id } }]);
    expect(told.predicate).toMatchObject({ result: 'FAILED', failedTests: ['build of tiny 1.0-6'] });
    expect(ProvenanceStatement.safeParse(told).success).toBe(false);
    expect(existsSync(join(config.offeredFolder, 'iter5.5'))).toBe(false);
    // No build's record describes the present outputs.
    expect(existsSync(join(config.makepkg.worktreesFolder, 'tiny', 'builds.json'))).toBe(false);
  });

  test('a checksum that does not match fails before anything is built', async () => {
    attempt = 6;
    const edit = (text: string) => text.replace(/(?<=sha256sums=\(\w{64} )\w{8}/, '00000000');
    const failed = run(commit(7, ['1.patch'], { edit }), 7);
    await expect(failed).rejects.toMatchObject({
      fault: 'work',
      message: expect.stringMatching(/exit code 1, .*1\.patch .*FAILED/),
    });
  });

  test('another version than the requested one is refused before it is built', async () => {
    attempt = 7;
    await expect(run(commit(8, []), 9)).rejects.toMatchObject({
      fault: 'work',
      message: 'the PKGBUILD is for tiny 1.0-8; expected tiny 1.0-9',
    });
  });

  test('a commit that holds another series than the reviewed one is refused before it is built', async () => {
    attempt = 9;
    const id = commit(9, ['1.patch']);
    const source = await sourceOf(['1.patch', '2.patch']);
    for (const [patches, message] of [
      [['1.patch'], /holds the series \w{64}; expected the reviewed one, \w{64}/],
      [['3.patch'], /no arch\/tiny\/3\.patch at/],
    ] satisfies [string[], RegExp][])
      await expect(run(id, 9, { source: { ...source, patches } })).rejects.toMatchObject({
        fault: 'work',
        message: expect.stringMatching(message),
      });
  });

  test('a commit that nobody pushed is refused', async () => {
    attempt = 8;
    await expect(run('0123456789012345678901234567890123456789', 9)).rejects.toMatchObject({
      fault: 'work',
      message: expect.stringContaining('no commit 0123'),
    });
  });
});
