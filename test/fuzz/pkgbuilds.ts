// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is bash
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { predictRelease } from '../../agents/builder/pkgbuild/kernel-release.ts';
import { bumpPkgbuild } from '../../agents/builder/pkgbuild/pkgbuild.ts';
import { PkgbuildError } from '../../agents/builder/pkgbuild/pkgbuild-error.ts';
import { bumpProblems, compareSrcinfo, parseSrcinfo } from '../../agents/builder/pkgbuild/srcinfo.ts';
import { checkout } from '../../deploy/checkout.ts';
import { pureTarget } from './fuzz-target.ts';
import { hostileText, mutatedText } from './hostile.ts';

const pieces = [
  ...[
    '$(',
    '$((',
    '${',
    '}',
    ')',
    '`',
    '"',
    "'",
    '\\',
    '{',
    '{a,b}',
    '{1..9}',
    '{1..99999999999}',
    '{a,',
    '<<EOF\n',
    '<<-',
    '\n',
  ],
  ...[
    '${pkgver##*.}',
    '${pkgver//[z-a]/x}',
    '${pkgver%%+(a)}',
    "${pkgver:-'}",
    '${source[@]}',
    '${source[9]}',
    '${constructor}',
    '${__proto__}',
  ],
  ...[
    'source+=(',
    'source=()',
    "sha256sums+=('SKIP')",
    'pkgrel=3',
    'pkgver="$pkgver$pkgver"',
    'a=("${a[@]}" "${a[@]}" x)',
    'export LOCALVERSION=-x',
  ],
  ...[
    'if ',
    'then\n',
    'fi\n',
    'for i in "${source[@]}"; do\n',
    'done\n',
    'case x in\n',
    'esac\n',
    'function f ',
    'f() {\n',
    '()',
    '((',
    '[[',
    ';;',
    '|&',
  ],
  ...[
    'patch -Np1 -i ../x.patch\n',
    'git apply ../a.patch\n',
    'sed -i "s/a/b/" Makefile\n',
    "sed -i 's/\\(a*\\)*b/x/' Makefile\n",
    "sed -i 's/EXTRAVERSION.*/[/' Makefile\n",
  ],
  ...[
    'echo "-$pkgrel" > localversion.1\n',
    'make LOCALVERSION=-$(id)\n',
    'scripts/config --set-str LOCALVERSION x\n',
    '# ',
    '\u0000',
    '\r\n',
  ],
];

const bases = [
  'examples/iteration-5/package/arch/linux-fresnel-fourier/PKGBUILD',
  'examples/linux/package/arch/linux-fresnel-fourier/PKGBUILD.in',
  ...['by-loop', 'by-name', 'git-apply', 'redirected'].map(
    (name) => `agents/builder/pkgbuild/testdata/${name}.PKGBUILD`,
  ),
];

const makefile = 'VERSION = 7\nPATCHLEVEL = 0\nSUBLEVEL = 0\nEXTRAVERSION =\nNAME = x\n';
const srcinfoText =
  'pkgbase = a\n\tpkgver = 1\n\tpkgrel = 1\n\tsource = x\n\tsha256sums = SKIP\n\npkgname = a\n';
const sums = () => 'a'.repeat(64);

/**
 * The texts of a PKGBUILD, a Makefile and a `.SRCINFO`: they are read without running them, or refused with a sentence.
 */
export const pkgbuilds = pureTarget('pkgbuilds', 130, () => {
  const texts = bases.map((file) => readFileSync(join(checkout, file), 'utf8'));
  const pkgbuild = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...texts).chain((text) => mutatedText(text, pieces)) },
    {
      weight: 2,
      arbitrary: fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map((all) => all.join('')),
    },
    { weight: 1, arbitrary: hostileText },
  );
  return {
    input: fc.record({
      pkgbuild,
      file: fc.oneof(hostileText, fc.constantFrom('0001-x.patch', 'config')),
      removed: fc.oneof(
        hostileText,
        fc.constantFrom('config', '0001-arm64-dts-rk3399-pinebook-pro-add-OC-OPP-tables-1704-2184.patch'),
      ),
      makefile: mutatedText(makefile),
      config: fc.oneof(fc.constant(null), mutatedText('CONFIG_LOCALVERSION="-x"\nCONFIG_A=y\n')),
      srcinfo: mutatedText(srcinfoText),
    }),
    hold: ({ pkgbuild, file, removed, makefile, config, srcinfo }) => {
      const orSentence = <Result>(
        read: () => Result,
        error: typeof PkgbuildError | typeof TypeError,
      ): Result | undefined => {
        try {
          return read();
        } catch (caught) {
          if (!(caught instanceof error)) throw caught;
          // JavaScript's own TypeErrors are not deliberate refusals.
          if (error === TypeError && !caught.message.startsWith('.SRCINFO')) throw caught;
          return undefined;
        }
      };
      orSentence(() => bumpPkgbuild(pkgbuild, { pkgrel: '9', addPatches: [] }), PkgbuildError);
      orSentence(
        () =>
          bumpPkgbuild(pkgbuild, {
            pkgrel: '9',
            pkgver: '8.1',
            addPatches: [{ file, sums }],
            removePatches: [removed],
          }),
        PkgbuildError,
      );
      orSentence(
        () =>
          bumpPkgbuild(pkgbuild, { pkgrel: '9', addPatches: [], replacePatches: [{ file: removed, sums }] }),
        PkgbuildError,
      );
      orSentence(
        () => predictRelease({ makefile, pkgbuild, pkgbase: 'linux', pkgver: '7.0', pkgrel: '2', config }),
        PkgbuildError,
      );
      const info = orSentence(() => parseSrcinfo(srcinfo), TypeError);
      if (info)
        bumpProblems(compareSrcinfo(parseSrcinfo(srcinfoText), info), { pkgrel: '2', addedSources: [file] });
    },
  };
});
