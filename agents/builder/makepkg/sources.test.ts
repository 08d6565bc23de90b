import { expect, test } from 'vitest';
import { parseSrcinfo } from '../pkgbuild/srcinfo.ts';
import { namedSources } from './sources.ts';

const of = (...sources: string[]) =>
  namedSources(
    parseSrcinfo(`pkgbase = a\n${sources.map((source) => `\t${source}\n`).join('')}\npkgname = a\n`),
  );

test('a source has the name that makepkg gives its file', () => {
  const { files } = of(
    'source = 0001-local.patch',
    'source = https://example.org/v1/linux-7.0.tar.xz',
    'source = renamed.tar.gz::https://example.org/download?id=1',
    'source_aarch64 = git+https://example.org/linux.git#tag=v7.0?signed',
    'source = tree::git+ssh://example.org/else',
    'source = svn+http://example.org/trunk/#revision=1',
  );
  expect([...files]).toEqual([
    '0001-local.patch',
    'linux-7.0.tar.xz',
    'renamed.tar.gz',
    'tree',
    'trunk',
    'linux',
  ]);
});

test('nothing is fetched for files that lie beside the PKGBUILD', () => {
  expect([...of('source = a.patch', 'makedepends = lp:b').fetched]).toEqual([]);
  expect([...of('source = a.patch', 'source_x86_64 = http://example.org/b').fetched]).toEqual(['b']);
});
