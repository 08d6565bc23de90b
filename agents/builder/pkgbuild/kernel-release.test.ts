import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { predictRelease } from './kernel-release.ts';

const makefile = '# SPDX\nVERSION = 7\nPATCHLEVEL = 0\nSUBLEVEL = 0\nEXTRAVERSION =\nNAME = Baby Opossum\n';
const predict = (pkgbuild: string, more: { makefile?: string; config?: string | null } = {}) =>
  predictRelease({
    makefile,
    config: null,
    pkgbase: 'linux-x',
    pkgver: '7.0',
    pkgrel: '2',
    pkgbuild,
    ...more,
  });
const prepare = (line: string) => `_suffix=own\nprepare() {\n  cd linux\n  ${line}\n}\n`;

describe('the release', () => {
  test.each([
    ['the Makefile alone', 'pkgname=x\n', {}, '7.0.0', false],
    [
      'a release candidate',
      'pkgname=x\n',
      { makefile: makefile.replace('EXTRAVERSION =', 'EXTRAVERSION = -rc3') },
      '7.0.0-rc3',
      false,
    ],
    [
      'CONFIG_LOCALVERSION',
      'pkgname=x\n',
      { config: 'CONFIG_A=y\nCONFIG_LOCALVERSION="-fresnel-fourier"\n' },
      '7.0.0-fresnel-fourier',
      false,
    ],
    [
      'localversion files, sorted',
      prepare(
        `echo "\${pkgbase#linux}" > localversion.20-pkgname\n  echo "-$pkgrel" > ../linux/localversion.10-pkgrel`,
      ),
      {},
      '7.0.0-2-x',
      true,
    ],
    ['printf', prepare('printf \'%s\\n\' "-$_suffix" >localversion'), {}, '7.0.0-own', false],
    [
      'EXTRAVERSION by sed',
      prepare('sed -i -e "s/^\\(EXTRAVERSION =\\).*/\\1 -$pkgrel/" Makefile'),
      {},
      '7.0.0-2',
      true,
    ],
    [
      'CONFIG_LOCALVERSION by sed',
      prepare('sed -i "s|CONFIG_LOCALVERSION=.*|CONFIG_LOCALVERSION=\\"-$_suffix\\"|g" ./.config'),
      { config: 'CONFIG_LOCALVERSION="-a"\n' },
      '7.0.0-own',
      false,
    ],
    [
      'scripts/config',
      prepare('scripts/config --set-str LOCALVERSION "-$_suffix" -d LOCALVERSION_AUTO'),
      {},
      '7.0.0-own',
      false,
    ],
    ["make's argument", 'build() {\n  make LOCALVERSION=-$pkgrel-ARCH Image\n}\n', {}, '7.0.0-2-ARCH', true],
    [
      'make through a function',
      '_make() { make LOCALVERSION= "$@"; }\nbuild() { _make Image; }\n',
      { config: 'CONFIG_LOCALVERSION="-a"\n' },
      '7.0.0-a',
      false,
    ],
    [
      'a variable of the function',
      prepare(`local name=\${pkgbase#linux}\n  echo "$name" > localversion`),
      {},
      '7.0.0-x',
      false,
    ],
    ['a message about it', prepare('echo "Setting localversion..."'), {}, '7.0.0', false],
  ])('by %s', (_, pkgbuild, more, predicted, namesPkgrel) => {
    expect(predict(pkgbuild, more)).toEqual({ predicted, namesPkgrel });
  });

  test('of a PKGBUILD that loops over its sources', async () => {
    const pkgbuild = await readFile(new URL('testdata/by-loop.PKGBUILD', import.meta.url), 'utf8');
    const sources = {
      makefile,
      config: null,
      pkgbase: 'linux-by-loop',
      pkgver: '6.9.1',
      pkgrel: '13',
      pkgbuild,
    };
    expect(predictRelease(sources)).toEqual({ predicted: '7.0.0-13-by-loop', namesPkgrel: true });
  });
});

describe('what the text can not tell', () => {
  test.each([
    ['a command', prepare('echo "-$(date +%s)" > localversion'), /line 4: .*only running it tells/],
    ['a condition', prepare('if x; then echo -a > localversion; fi'), /line 4: .*under a condition/],
    ['another sed script', prepare('sed -i "/^EXTRAVERSION/d" Makefile'), /line 4: .*sed script/],
    ['an option of sed', prepare('sed -ri "s/^EXTRAVERSION.*/x/" Makefile'), /line 4: .*options of sed/],
    ['a text that is no bash', 'prepare() {\n', /line 1: a "\{" without its end/],
    ['a git tree', "source=('git+https://example.org/linux.git')\n", /git tree/],
    [
      'a stable patch',
      `pkgver=7.0.3\nsource=("https://example.org/patch-\${pkgver}.xz")\n`,
      /changes the baseline/,
    ],
    [
      'two values',
      'build() {\n  make LOCALVERSION=-a\n  make LOCALVERSION=-b\n}\n',
      /line 3: .*another command/,
    ],
    ['KERNELRELEASE', 'build() {\n  make KERNELRELEASE=1\n}\n', /sets the release itself/],
  ])('%s is reported, not guessed', (_, pkgbuild, message) => {
    expect(() => predict(pkgbuild)).toThrow(message);
  });
});
