// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is bash
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { bumpPkgbuild } from '../../agents/builder/pkgbuild/pkgbuild.ts';
import { PkgbuildError } from '../../agents/builder/pkgbuild/pkgbuild-error.ts';
import { compareSrcinfo, parseSrcinfo } from '../../agents/builder/pkgbuild/srcinfo.ts';
import { parsePatch } from '../../agents/builder/series/series.ts';
import { readSymbols } from '../../agents/builder/series/symbols.ts';
import { patchFaults } from '../../coordinator/plan/patch-faults.ts';
import { loadPlan, PlanFaults } from '../../coordinator/plan/plan-file.ts';
import { examplePlanYaml, exampleTrust } from '../../coordinator/testing/example-plan.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { checkEvent } from '../../eventlog/signing/check-event.ts';
import { EventTooLarge, sealEvent } from '../../eventlog/signing/seal.ts';
import { payloadTypes } from '../../eventlog/signing/writer-key.ts';
import { pureTarget } from './fuzz-target.ts';

/** The longest time that an oversized input may keep a host busy, on a machine with other work. */
const atMostMs = 20_000;

const bomb = (levels: number, width: number): string =>
  [...Array(levels).keys()]
    .map(
      (level) =>
        `l${level}: &l${level} [${Array(width)
          .fill(level === 0 ? 'x' : `*l${level - 1}`)
          .join(', ')}]`,
    )
    .join('\n');

/** Inputs that are too large, too many or too deep: each is read or refused with a sentence, quickly. */
export const oversized = pureTarget<{ what: string; size: number }>('oversized', 1, (folder) => {
  mkdirSync(join(folder, 'patches'));
  const file = join(folder, 'plan.yaml');
  const refusedPlan = (text: string | undefined) => {
    if (text !== undefined) writeFileSync(file, text);
    try {
      loadPlan(file);
    } catch (error) {
      if (!(error instanceof PlanFaults)) throw error;
      if (error.message.length > 200_000) throw new Error('its faults fill screens without end');
      return;
    }
    throw new Error('it is taken');
  };
  const patch = (text: string) => {
    patchFaults(text);
    parsePatch(text);
    readSymbols(text);
  };
  const pkgbuild = (text: string) => {
    try {
      bumpPkgbuild(text, { pkgrel: '2', addPatches: [{ file: 'x.patch', sums: () => 'a' }] });
    } catch (error) {
      if (!(error instanceof PkgbuildError)) throw error;
    }
  };
  const event = (data: unknown) => {
    const writer = { fleet: 'reauktion', name: 'fresnel', key: testKey('fresnel') };
    try {
      const sealed = sealEvent(
        { type: 'BackupFailed', iteration: 'iter5', attempt: 1, data },
        writer,
        undefined,
        '2026-05-11T00:00:00Z',
      );
      checkEvent(exampleTrust, { ...sealed, sequence: 1 });
    } catch (error) {
      if (!(error instanceof EventTooLarge)) throw error;
    }
  };
  const sources = 'pkgrel=1\nsource=(a)\nsha256sums=(SKIP)\nprepare() {\n patch -i a\n}\n';
  const half = 512 * 1024;
  const kinds: Readonly<Record<string, (size: number) => void>> = {
    'a plan of many MB': (size) => refusedPlan(`${examplePlanYaml}# ${'x'.repeat(size * 4_000_000)}`),
    'a plan with many unknown keys': (size) =>
      refusedPlan(
        `${examplePlanYaml}${[...Array(size * 1000).keys()].map((key) => `k${key}: 1`).join('\n')}`,
      ),
    'aliases that stand for more': (size) => refusedPlan(bomb(4 + size, 10)),
    'an alias of itself': () => refusedPlan('a: &a [*a]\n'),
    'brackets without end': (size) => refusedPlan('['.repeat(10 ** size * 10)),
    'lists in lists': (size) => refusedPlan('- '.repeat(10 ** size)),
    'questions in questions': (size) => refusedPlan('? '.repeat(10 ** size)),
    'a patch of 100 MB': () => {
      const huge = join(folder, 'patches', '0001-helper.patch');
      writeFileSync(huge, '');
      truncateSync(huge, 100_000_000);
      refusedPlan(examplePlanYaml);
      writeFileSync(huge, '');
    },
    'a series in /dev': () =>
      refusedPlan(
        examplePlanYaml
          .replace('folder: patches', 'folder: ../../../../../../dev')
          .replaceAll(/000\d-\w+.patch/g, 'zero'),
      ),
    'a header of blanks': () => patch(`diff --git ${'a/ b/ '.repeat(half / 6)}\u2028\n`),
    'a name of quotes': () => patch(`--- ${'"a\\'.repeat(half / 3)}\n+++ b\n@@ -1 +1 @@\n-a\n+b\n`),
    'braces in parentheses': () => patch(`--- a/x.c\n+++ b/x.c\n@@ -0,0 +1 @@\n+f${'({'.repeat(half / 2)}\n`),
    'hunks without lines': () => patch(`--- a/x.c\n+++ b/x.c\n${'@@ -1,9 +1,9 @@\n'.repeat(half / 16)}`),
    'substitutions in substitutions': (size) =>
      pkgbuild(`${sources}a=${'$('.repeat(10 ** size)}${')'.repeat(10 ** size)}`),
    'braces in braces': (size) =>
      pkgbuild(`source=(${'{a,'.repeat(10 ** size)}b${'}'.repeat(10 ** size)})\n${sources}`),
    'braces after braces': (size) => pkgbuild(`${sources}source+=(${'{a,b}'.repeat(10 * size)})\n`),
    'a range without end': () => pkgbuild(`${sources}source+=({1..9999999999})\n`),
    'a value that doubles': (size) => pkgbuild(`a=xx\n${'a=$a$a\n'.repeat(20 * size)}${sources}`),
    'an array that doubles': (size) =>
      pkgbuild(`a=(x y)\n${'a=("${a[@]}" "${a[@]}")\n'.repeat(20 * size)}${sources}`),
    'blocks in blocks': (size) => pkgbuild(`${'if x; then\n'.repeat(10 ** size)}${sources}`),
    'a pattern that goes back and forth': () =>
      pkgbuild(`a=${'a'.repeat(5000)}\nb=\${a##*a*a*a*a*a*b}\nsource=("$b")\n${sources}`),
    'a .SRCINFO of many lines': (size) => {
      const text = `pkgbase = a\n${[...Array(size * 10_000).keys()].map((line) => `source = ${line}`).join('\n')}\npkgname = a\n`;
      const info = parseSrcinfo(text);
      compareSrcinfo(info, parseSrcinfo(text.replaceAll('= 1', '= 2')));
    },
    'a reason of 990,000 letters': () =>
      event({ fault: 'work', reason: 'x'.repeat(990_000), output: [], begun: [] }),
    'an event of many MB': (size) =>
      event({ fault: 'work', reason: 'x'.repeat(size * 1_000_000), output: [], begun: [] }),
    'an event with many things wrong': () =>
      event({ fault: 'work', reason: 'x', output: Array(100_000).fill(1), begun: [] }),
    'a signature of 1 MB': () => {
      const bytes = new TextEncoder().encode('{}');
      checkEvent(exampleTrust, {
        sequence: 1,
        subject: 'ka.reauktion.fresnel._.X.1',
        bytes,
        signature: 'A'.repeat(1_000_000),
      });
      void payloadTypes;
    },
    'a subject of 1 MB': () => {
      checkEvent(exampleTrust, {
        sequence: 1,
        subject: `ka.${'a.'.repeat(500_000)}`,
        bytes: new Uint8Array(),
        signature: '',
      });
    },
  };
  return {
    input: fc.record({ what: fc.constantFrom(...Object.keys(kinds)), size: fc.integer({ min: 1, max: 4 }) }),
    hold: ({ what, size }) => {
      const startedAt = performance.now();
      kinds[what]?.(size);
      const ms = performance.now() - startedAt;
      if (ms > atMostMs) throw new Error(`it takes ${Math.round(ms)} ms`);
    },
  };
});
