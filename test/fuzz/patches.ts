import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { conflictsTold } from '../../agents/builder/series/apply-series.ts';
import { findSymbols } from '../../agents/builder/series/find-symbols.ts';
import { parsePatch, patchsetHash, readSeries, singleHunk } from '../../agents/builder/series/series.ts';
import { readSymbols } from '../../agents/builder/series/symbols.ts';
import { StepFailed } from '../../agents/runtime/errors.ts';
import { patchFaults } from '../../coordinator/plan/patch-faults.ts';
import { checkout } from '../../deploy/checkout.ts';
import { patchOf } from '../../schemas/plan.ts';
import { pureTarget } from './fuzz-target.ts';
import { hostileText, mutatedText } from './hostile.ts';

const pieces = [
  ...[
    '--- ',
    '+++ ',
    '@@ -1 +1 @@\n',
    '@@ -1,3 +1,99999999999 @@\n',
    'diff --git a/x b/x\n',
    'rename from ',
    'copy to ',
    '-- \n2.40\n',
  ],
  ...[
    '/dev/null',
    '\n',
    '\r\n',
    '\t',
    '"',
    'GIT binary patch\n',
    'new file mode 120000\n',
    '\\ No newline\n',
    '/*',
    '*/',
    '//',
    '#define X(a) \\\n',
  ],
  ...[
    '{',
    '}',
    '(',
    ')',
    ';',
    'struct ',
    'enum {',
    'typedef ',
    'EXPORT_SYMBOL_GPL(',
    '\n+',
    '\n-',
    '\n ',
    '\u2028',
    '\u0000',
  ],
];

const outside = [
  '../x',
  '../../etc/passwd',
  'a/../../x',
  '/etc/passwd',
  '.git/config',
  'a/.git/hooks/post-checkout',
  'a/..',
  '..',
  '.GIT/config',
  '../x\r',
  '../\u2028',
  '../x y',
];
/** A name as git and diff spell it if a header can't hold it plainly: with C's escapes, between quotes. */
const quoted = (path: string): string =>
  `"${[...Buffer.from(path, 'utf8')].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')}"`;
const half = (path: string): string => `"${path.replace('..', '\\056\\056').replace('.git', '\\056git')}"`;

const body = '@@ -1 +1 @@\n-a\n+b\n';
const forms: readonly ((name: (prefix: string) => string, plain: (prefix: string) => string) => string)[] = [
  (name) => `--- ${name('a/')}\n+++ ${name('b/')}\n${body}`,
  (name) => `--- /dev/null\n+++ ${name('b/')}\n@@ -0,0 +1 @@\n+b\n`,
  (name) => `--- ${name('a/')}\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n`,
  (name) => `--- ${name('')}\t2020-01-01\n+++ ${name('')}\t2020-01-01\n${body}`,
  (name) => `diff --git ${name('a/')} ${name('b/')}\nold mode 100644\nnew mode 100755\n`,
  (name) => `diff --git a/x b/x\nsimilarity index 100%\nrename from ${name('')}\nrename to x\n`,
  (name) => `diff --git a/x b/x\nsimilarity index 100%\ncopy from x\ncopy to ${name('')}\n`,
  (name) => `Index: x\n*** ${name('a/')}\n--- ${name('b/')}\n+++ ${name('b/')}\n${body}`,
];

const reaching = fc
  .record({
    path: fc.constantFrom(...outside),
    spelling: fc.constantFrom((path: string) => path, quoted, half),
    form: fc.constantFrom(...forms),
    before: fc.constantFrom('', 'Subject: x\n\n', `--- a/x\n+++ b/x\n${body}`, 'diff --git a/y b/y\n'),
    after: fc.constantFrom('', '-- \n2.40.0\n', `--- a/x\n+++ b/x\n${body}`),
  })
  .map(({ path, spelling, form, before, after }) => {
    const name = (prefix: string) => spelling(`${path.startsWith('/') ? '' : prefix}${path}`);
    return { text: `${before}${form(name, name)}${after}`, reachesOut: true };
  });

/** Patches: a path out of the tree is found, however it is spelled, and any text can be read. */
export const patches = pureTarget('patches', 130, () => {
  const folder = join(checkout, 'examples/iteration-5/patches');
  const texts = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
  const text = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...texts).chain((one) => mutatedText(one, pieces)) },
    {
      weight: 2,
      arbitrary: fc
        .array(fc.oneof(fc.constantFrom(...pieces), hostileText), { maxLength: 30 })
        .map((all) => all.join('')),
    },
  );
  return {
    input: fc.oneof(
      { weight: 3, arbitrary: text.map((one) => ({ text: one, reachesOut: false })) },
      { weight: 1, arbitrary: reaching },
    ),
    hold: ({ text: patch, reachesOut }) => {
      const faults = patchFaults(patch);
      if (reachesOut && !faults.some((fault) => fault.includes('outside the tree')))
        throw new Error(`it reaches out of the tree and nothing is said of it: ${JSON.stringify(faults)}`);
      for (const diff of parsePatch(patch)) for (const hunk of diff.hunks) singleHunk(diff, hunk);
      conflictsTold(patch, parsePatch(patch));
      const series = [patchOf('x.patch', Buffer.from(patch))];
      try {
        patchsetHash(readSeries(series));
      } catch (error) {
        if (!(error instanceof StepFailed)) throw error;
      }
      const symbols = readSymbols(patch);
      void findSymbols([], [{ file: 'x.patch', symbols }], () => Promise.resolve(new Map()));
    },
  };
});
