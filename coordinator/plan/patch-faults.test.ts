import { expect, it } from 'vitest';
import { patchFaults } from './patch-faults.ts';

const hunk = '@@ -1 +1 @@\n-a\n+b\n';

it.each([
  ['a quoted name with octal escapes', `--- "a/\\056\\056/x"\n+++ "b/\\056\\056/x"\n${hunk}`],
  ['a name that ends in a carriage return', `--- a/../x\r\n+++ b/../x\r\n${hunk}`],
  ['a name with a line separator', `--- a/x\n+++ b/../\u2028\n${hunk}`],
  [
    'a git header alone, with blanks in the name',
    'diff --git a/../x y b/../x y\nold mode 100644\nnew mode 100755\n',
  ],
  ['.git in another case', `--- a/.GIT/config\n+++ b/.GIT/config\n${hunk}`],
])('finds a path out of the tree in %s', (_what, text) => {
  expect(patchFaults(text).join()).toContain('outside the tree');
});

it('takes names with blanks, quotes and dots inside the tree', () => {
  expect(patchFaults(`--- "a/x \\"y\\".c"\n+++ "b/x \\"y\\".c"\n${hunk}`)).toEqual([]);
  expect(patchFaults(`diff --git a/a..b c b/a..b c\n--- a/a..b c\n+++ b/a..b c\n${hunk}`)).toEqual([]);
});

it('reads a header of half a megabyte at once', () => {
  const startedAt = performance.now();
  patchFaults(`diff --git ${'a/ b/ '.repeat(80_000)}\u2028\n--- ${'"a\\'.repeat(150_000)}\n+++ b\n${hunk}`);
  expect(performance.now() - startedAt).toBeLessThan(5000);
});
