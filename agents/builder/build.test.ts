import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { exampleAgreed } from '../../coordinator/testing/example-attestation.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { openEnvelope } from '../../eventlog/signing/envelope.ts';
import { createRun } from '../../host/run.ts';
import {
  BuildParameters,
  type DsseEnvelope,
  ProvenanceStatement,
  TestResultStatement,
} from '../../schemas/attestation.ts';
import type { BuilderConfig } from '../../schemas/config.ts';
import { sha256 } from '../../schemas/hash.ts';
import type { Approved } from '../../schemas/reviewed.ts';
import { runStep } from '../../test/run-step.ts';
import { StepFailed } from '../runtime/errors.ts';
import { build } from './build.ts';
import { createGit } from './git/git.ts';
import { createMakepkg } from './makepkg/makepkg.ts';
import { rehearsePrepare } from './rehearse-prepare.ts';
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
const commit = (
  pkgrel: number,
  patches: string[],
  { more = '', slow = false, edit = (text: string) => text } = {},
) => {
  const at = join(repository, 'arch', 'tiny');
  const sum = (file: string) => sh(at, `sha256sum ${file} | cut -c-64`).trim();
  let text = pkgbuild(pkgrel, patches, more).replace('@tree@', sum('tree.tar'));
  // A build that can be killed in the middle: it makes half of an object first.
  if (slow)
    text = text.replace('{ make -C tree; }', '{ : > tree/half.o; sleep 1; rm tree/half.o; make -C tree; }');
  for (const file of patches) text = text.replace(`@${file}@`, sum(file));
  execFileSync('tee', [join(at, 'PKGBUILD')], { input: edit(text), stdio: ['pipe', 'ignore', 'inherit'] });
  const git = 'git -c user.name=x -c user.email=x@example.org';
  return sh(repository, `${git} add -A; ${git} commit -qm "tiny ${pkgrel}"; git rev-parse HEAD`).trim();
};

/** What was reviewed: these patches, as the repository holds them. */
const sourceOf = async (patches: string[]) => ({
  baseline: { tag: 'v1.0', commit: sha256('baseline').slice(0, 40) },
  epochSeconds: 1_700_000_000,
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

/**
 * What people have approved: the package's folder as this commit has it, and what another builder, in other folders,
 * has prepared from it.
 */
const approvedAt = async (id: string, pkgrel: number): Promise<Approved> => {
  const found = spawnSync('git', ['-C', repository, 'rev-parse', `${id}:arch/tiny`], { encoding: 'utf8' });
  const trees = [{ purpose: 'packaging', tree: found.status === 0 ? found.stdout.trim() : '0'.repeat(40) }];
  if (found.status === 0) {
    const { tree, config: configs } = await preparedAt(id).catch(() => ({
      tree: '0'.repeat(40),
      config: '',
    }));
    trees.push({ purpose: 'prepared', tree }, { purpose: 'config', tree: configs || '0'.repeat(40) });
  }
  return exampleAgreed({ trees, change: (plan) => Object.assign(plan, { package: packageOf(pkgrel) }) });
};

const preparedAt = async (id: string) => {
  const host = builderConfig(join(folder, 'other'), { repositories: { packages: repository } });
  const program = createRun(() => undefined);
  const git = createGit(program, host);
  const workFolder = await mkdtemp(join(folder, 'other-'));
  const exported = join(workFolder, 'package');
  await git.exportFolder(join(repository, '.git'), id, 'arch/tiny', exported);
  const kernel = { path: join(repository, '.git'), tree: `${id}^{tree}` };
  const of = { iteration: 'iter5', base: 'tiny', folder: exported, epochSeconds: 1_700_000_000, kernel };
  return rehearsePrepare({ git, makepkg: createMakepkg(program, host), run: program, host, workFolder }, of);
};

/** The package as plan and request have it. */
const packageOf = (pkgrel: number) => ({
  repository: 'packages',
  branch: 'main',
  folder: 'arch/tiny',
  base: 'tiny',
  names: ['tiny'],
  from: '1.0-1',
  to: `1.0-${pkgrel}`,
  release: '1.0',
});

const run = async (
  id: string,
  pkgrel: number,
  { signal, source, approved }: { signal?: AbortSignal; source?: Source; approved?: Approved } = {},
) =>
  runStep(
    'build',
    build,
    {
      commit: id,
      source: source ?? (await sourceAt(id)),
      approved: approved ?? (await approvedAt(id, pkgrel)),
      package: packageOf(pkgrel),
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
    const approved = await approvedAt(first, 2);
    const one = await run(first, 2, { source, approved });
    const provenance = statementIn(ProvenanceStatement, one.evidence.attestation);
    expect(provenance.subject).toEqual(
      one.evidence.packages.map(({ file, sha256: hash }) => ({ name: file, digest: { sha256: hash } })),
    );
    const { buildDefinition, runDetails } = provenance.predicate;
    expect(BuildParameters.parse(buildDefinition.externalParameters)).toMatchObject({
      ...{ iteration: 'iter5', attempt: 1, commit: first, version: '1.0-2' },
      ...{ planSha256: approved.planSha256, trees: approved.trees, patchset: source.patchset },
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
      one.evidence.confinement?.by === 'bwrap'
        ? '/build/package'
        : join(config.makepkg.worktreesFolder, 'tiny', 'package'),
    ]);
    expect(one.evidence.output.lines).toBeGreaterThan(10);
    expect(compiled(one.lines)).toEqual(['main.c', 'part.c']);
    expect(one.evidence).toMatchObject({ compiled: 2 });
    expect(one.evidence).not.toHaveProperty('before');
    expect(binary('tiny-1.0-2-aarch64.pkg.tar.zst')).toContain('two-patches');

    // What somebody has planted there: a source, and another object in the place of one that was built.
    const src = join(config.makepkg.worktreesFolder, 'tiny', 'build', 'tiny', 'src');
    const ghost = join(src, 'tree', 'ghost.c');
    await writeFile(ghost, '');
    await appendFile(join(src, 'tree', 'main.o'), 'planted');

    attempt = 2;
    await runUntil('kept/tiny', second, 3);
    expect(existsSync(join(config.offeredFolder, 'iter5.2'))).toBe(false);
    const two = await run(second, 3);
    expect(compiled(two.lines)).toEqual(['main.c', 'part.c']);
    const remembered = { commit: first, seconds: one.evidence.seconds, compiled: 2 };
    expect(two.evidence).toMatchObject({ compiled: 2, before: { last: remembered, first: remembered } });
    // Gone: the ghost, the planted object, and the link to the dropped patch.
    expect(two.evidence.sources).toMatchObject({ changed: 1, removed: 3 });
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

  test('after a kill, nothing that the killed build left counts as finished, and what was built before it does', async () => {
    const third = commit(4, ['2.patch', '1.patch'].reverse(), { slow: true });
    attempt = 3;
    await runUntil('build/tiny/src/tree/half.o', third, 4);
    const { lines, evidence } = await run(third, 4);
    expect(compiled(lines)).toEqual(['part.c']);
    expect(evidence).toHaveProperty('before');
    expect(evidence.sources.removed).toBeGreaterThan(0);
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

  test('a source that is no archive and has no sum is approved by its content', async () => {
    attempt = 10;
    const edit = (text: string) =>
      text.replace('source=(', 'source=(firmware.bin ').replace('sha256sums=(', 'sha256sums=(SKIP ');
    const id = commit(10, [], { edit });
    const there = (other: string, text: string) => {
      const at = join(folder, other, 'sources');
      sh(folder, `mkdir -p ${at}; printf ${text} > ${at}/firmware.bin`);
    };
    there('other', 'reviewed');
    there('.', 'another');
    const approved = await approvedAt(id, 10);
    await expect(run(id, 10, { approved })).rejects.toMatchObject({
      fault: 'host',
      message: expect.stringMatching(/prepare\(\) gives the sources/),
    });
    there('.', 'reviewed');
    attempt = 11;
    expect((await run(id, 10, { approved })).evidence.packages).toHaveLength(1);
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
