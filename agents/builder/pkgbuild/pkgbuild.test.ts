import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRun } from '../../../host/run.ts';
import { rememberMakepkg } from '../../../test/remembered-makepkg.ts';
import { createMakepkg, type Makepkg } from '../makepkg/makepkg.ts';
import { builderConfig } from '../testdata/builder-config.ts';
import { type Bump, bumpPkgbuild, type SumKind } from './pkgbuild.ts';
import { PkgbuildError } from './pkgbuild-error.ts';
import { bumpProblems, compareSrcinfo, parseSrcinfo } from './srcinfo.ts';

const lengths: Record<SumKind, number> = {
  md5: 32,
  sha1: 40,
  sha224: 56,
  sha256: 64,
  sha384: 96,
  sha512: 128,
  b2: 128,
};
const patch = (file: string, digit = '7') => ({
  file,
  sums: (kind: SumKind) => digit.repeat(lengths[kind]),
});
const testdata = (name: string) => readFile(new URL(`testdata/${name}.PKGBUILD`, import.meta.url), 'utf8');

let folder: string;
let makepkg: Makepkg;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ka-pkgbuild-'));
  await chmod(folder, 0o755);
  makepkg = createMakepkg(rememberMakepkg(createRun(() => undefined)), builderConfig(folder));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const srcinfo = async (name: string, text: string) => {
  // Closed to all other users, like an agent's own folders.
  const place = join(folder, name);
  await mkdir(place, { recursive: true, mode: 0o700 });
  await writeFile(join(place, 'PKGBUILD'), text);
  return parseSrcinfo(await makepkg.printSrcinfo(place));
};

const untouched = new Map<string, ReturnType<typeof srcinfo>>();

/** The bumped text, checked with makepkg. */
const bumped = async (name: string, bump: Bump) => {
  const before = await testdata(name);
  const text = bumpPkgbuild(before, bump);
  const from = untouched.get(name) ?? srcinfo(`${name}.before`, before);
  untouched.set(name, from);
  const to = await srcinfo(name, text);
  const changes = compareSrcinfo(await from, to);
  const problems = bumpProblems(changes, {
    pkgrel: bump.pkgrel,
    addedSources: bump.addPatches.map(({ file }) => file),
    removedSources: bump.removePatches ?? [],
    replacedSources: bump.replacePatches?.map(({ file }) => file) ?? [],
  });
  return { before, text, after: to.base.values, problems };
};

/** The text before and after, without asking makepkg. */
const edited = async (name: string, bump: Bump) => {
  const before = await testdata(name);
  return { before, text: bumpPkgbuild(before, bump) };
};

const addedLines = (before: string, after: string): string[] => {
  const old = before.split('\n');
  return after.split('\n').filter((line) => !old.includes(line));
};

describe('a bump, as makepkg reads it', () => {
  test.each([
    ['by-name', ['sha256sums', 'md5sums']],
    ['by-loop', ['b2sums']],
    ['git-apply', ['sha512sums']],
    ['redirected', ['sha1sums']],
  ])('of %s adds sources and the sums of the same index, and changes nothing else', async (name, sums) => {
    const { after, problems } = await bumped(name, {
      pkgrel: '42',
      addPatches: [patch('0003-x.patch', '7'), patch('0004-y.patch', '8')],
    });
    expect(problems).toEqual([]);
    const source = after.get('source') ?? [];
    expect(source.slice(-2)).toEqual(['0003-x.patch', '0004-y.patch']);
    for (const kind of sums) {
      expect(after.get(kind)).toHaveLength(source.length);
      expect(after.get(kind)?.[source.indexOf('0003-x.patch')]).toMatch(/^7+$/);
      expect(after.get(kind)?.[source.indexOf('0004-y.patch')]).toMatch(/^8+$/);
    }
  });

  test('copies the last patch command with the text around it, and keeps every other byte', async () => {
    const { before, text } = await edited('by-name', { pkgrel: '4', addPatches: [patch('0003-x.patch')] });
    expect(addedLines(before, text)).toEqual([
      'pkgrel="4"   # bumped by hand so far',
      '        "0003-x.patch"',
      "            'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc'",
      `            '${'7'.repeat(64)}')`,
      `  dddddddddddddddddddddddddddddddd eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee ${'7'.repeat(32)})`,
      '  patch -Np1 -i "$srcdir/0003-x.patch" || return 1',
    ]);
  });

  test('copies a redirection', async () => {
    const { before, text } = await edited('redirected', { pkgrel: '2', addPatches: [patch('4th.patch')] });
    expect(addedLines(before, text)).toContain('\tpatch -Np1 < ../4th.patch');
    expect(text).toContain('third.patch\n\tpatch -Np1 < ../4th.patch\n\n\tsed');
  });

  test('edits an array that is the last line and has no newline', async () => {
    const { text } = await edited('git-apply', { pkgrel: '2', addPatches: [patch('b.patch')] });
    expect(text.endsWith(`\n            '${'7'.repeat(128)}')`)).toBe(true);
    expect(text).toContain('    git apply --whitespace=nowarn ../b.patch   # keep the names\n');
  });

  test('leaves a prepare() that loops over source alone', async () => {
    const { before, text } = await edited('by-loop', { pkgrel: '13', addPatches: [patch('x.patch')] });
    const prepare = (all: string) => all.slice(all.indexOf('prepare()'));
    expect(prepare(text)).toBe(prepare(before));
  });

  test('removes a patch with its sums and its command', async () => {
    const { text, after, problems } = await bumped('by-name', {
      pkgrel: '4',
      addPatches: [],
      removePatches: ["0002-don't-touch-(x).patch"],
    });
    expect(problems).toEqual([]);
    expect(text).not.toContain('0002');
    expect(after.get('sha256sums')?.map((sum) => sum[0])).toEqual(['S', 'a', 'b']);
    expect(after.get('md5sums')).toEqual(['SKIP', 'SKIP', 'd'.repeat(32)]);
  });

  test('removes the only element and adds another at once', async () => {
    const { after, problems, text } = await bumped('git-apply', {
      pkgrel: '2',
      addPatches: [patch('b.patch')],
      removePatches: ['a.patch'],
    });
    expect(problems).toEqual([]);
    expect(after.get('source')).toEqual(['b.patch']);
    expect(text.match(/git apply/g)).toHaveLength(1);
  });

  test('replaces the sum of a file after a word that makes two sources', async () => {
    const { after, problems } = await bumped('by-loop', {
      pkgrel: '13',
      addPatches: [],
      replacePatches: [patch('two.patch', '9')],
    });
    expect(problems).toEqual([]);
    expect(after.get('b2sums')?.at(-1)).toBe('9'.repeat(128));
    expect(after.get('b2sums')?.slice(0, 4)).toEqual(['SKIP', 'SKIP', 'SKIP', '111']);
  });

  test('counts the elements of another array that it uses', async () => {
    const { after, problems } = await bumped('redirected', {
      pkgrel: '2',
      addPatches: [],
      replacePatches: [patch('second.patch', '9'), patch('third.patch', '8')],
    });
    expect(problems).toEqual([]);
    expect(after.get('sha1sums')).toEqual(['SKIP', '1'.repeat(40), '9'.repeat(40), '8'.repeat(40)]);
  });

  test('is noticed if it changes more than was meant', async () => {
    const text = await testdata('git-apply');
    const changes = compareSrcinfo(
      await srcinfo('meant.before', text),
      await srcinfo('meant.after', text.replace("pkgrel='1'", 'pkgrel=5').replace('epoch=2', 'epoch=3')),
    );
    expect(bumpProblems(changes, { pkgrel: '4', addedSources: [] })).toEqual([
      'linux-git-apply: pkgrel went from 1 to 5; expected 4',
      'linux-git-apply: epoch went from 2 to 3; expected it to stay',
    ]);
  });
});

describe('a shape that a text edit can not follow', () => {
  const head = "pkgname=x\npkgver=1\npkgrel=1\nsource=('a.patch')\nsha256sums=('SKIP')\n";
  const apply = 'prepare() {\n  patch -Np1 -i ../a.patch\n}\n';
  const bump = { pkgrel: '2', addPatches: [patch('b.patch')] };

  test.each([
    [
      'pkgrel that is computed',
      `${head}${apply}`.replace('pkgrel=1', 'pkgrel=$(date +%s)'),
      /line 3: pkgrel=/,
    ],
    ['pkgrel set twice', `${head}pkgrel=2\n${apply}`, /line 6: pkgrel is set a second time/],
    ['no source', 'pkgrel=1\n', /no "source=/],
    ['no sums', `${head}${apply}`.replace(/sha256sums.*\n/, ''), /line 4: source has no sums/],
    [
      'source under a condition',
      `${head}if true; then\n  source+=(x)\nfi\n${apply}`,
      /line 7: source is set under/,
    ],
    ['sums by index', `${head}sha256sums[0]=x\n${apply}`, /line 6: sha256sums is set otherwise/],
    ['no prepare', head, /no prepare\(\)/],
    [
      'patches by number',
      `${head}prepare() {\n  patch -i "\${source[0]}"\n}\n`,
      /line 7: .* names no single file/,
    ],
    [
      'patch in a condition',
      `${head}prepare() {\n  if x; then\n    patch -i a.patch\n  fi\n}\n`,
      /line 8: .*condition/,
    ],
    ['commands on one line', `${head}prepare() { patch -i a.patch; }\n`, /line 6: other commands/],
    ['an array without its end', `${head}x=(\n`, /line 6: an array without its/],
    ['a quote without its end', `${head}x="\n`, /line 6: a " without its end/],
  ])('%s is refused with its line', (_, text, message) => {
    expect(() => bumpPkgbuild(text, bump)).toThrow(PkgbuildError);
    expect(() => bumpPkgbuild(text, bump)).toThrow(message);
  });

  test('removing a file that is not there is refused', () => {
    expect(() => bumpPkgbuild(`${head}${apply}`, { ...bump, removePatches: ['c.patch'] })).toThrow(
      /line 4: c.patch is not in source/,
    );
  });

  test('a loop over *.patch that would leave out the new file is refused', async () => {
    const text = await testdata('by-loop');
    expect(() => bumpPkgbuild(text, { pkgrel: '13', addPatches: [patch('b.diff')] })).toThrow(/left out/);
  });

  test('bash that does not parse fails in its own words', async () => {
    await expect(srcinfo('broken', `${head}prepare() {\n  if\n}\n`)).rejects.toMatchObject({
      name: 'StepFailed',
      fault: 'work',
      message: expect.stringMatching(/PKGBUILD: line 8: syntax error near/),
    });
  });
});
