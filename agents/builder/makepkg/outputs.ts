import { join } from 'node:path';
import { z } from 'zod';
import { readDurable, writeDurably } from '../../../host/durable-file.ts';
import { type AsUser, type FoundFile, filesIn, isOddName } from './source-tree.ts';

/** Path → sha256 of a file, or `-> target` of a link. */
const Outputs = z.record(z.string(), z.string());
type Outputs = z.infer<typeof Outputs>;

/** Reads `sha256sum -z`: `<hash>  <name>\0`. */
const parseSums = (stdout: string): Map<string, string> =>
  new Map(
    stdout
      .split('\0')
      .filter(Boolean)
      .map((line) => [line.slice(66), line.slice(0, 64)]),
  );

/** These files below `src`, each with its hash. What can't be read is left out. */
const hashesOf = async (asUser: AsUser, src: string, found: readonly FoundFile[]): Promise<Outputs> => {
  const files = found.filter(({ kind }) => kind === 'file').map(({ path }) => join(src, path));
  const sum = ['xargs', '-0', '-r', 'sha256sum', '-z', '--'];
  // A file that can't be read ends this with 123, and the others have their sums.
  const sums =
    files.length === 0 ? '' : (await asUser(sum, { input: files.join('\0'), exitCodes: [0, 123] })).stdout;
  const hashes = parseSums(sums);
  return Object.fromEntries(
    found.flatMap(({ path, kind, link }): [string, string][] => {
      if (kind === 'link') return [[path, `-> ${link}`]];
      const hash = hashes.get(join(src, path));
      return hash === undefined ? [] : [[path, hash]];
    }),
  );
};

/** Remembers what a build of an approved tree has left beside the tree's own files, where no build can write. */
export const noteOutputs = async (
  asUser: AsUser,
  listFile: string,
  src: string,
  ofTheTree: ReadonlySet<string>,
): Promise<void> => {
  const outputs = (await filesIn(asUser, src)).filter(({ path }) => !ofTheTree.has(path));
  await writeDurably(listFile, await hashesOf(asUser, src, outputs));
};

/**
 * Removes everything beside the tree's own files that is not exactly what the last build of an approved tree has left:
 * what a dropped patch had added, what a killed build had begun, and what anybody has planted.
 * @returns how many files it removed.
 */
export const removeUnknown = async (
  asUser: AsUser,
  listFile: string,
  src: string,
  ofTheTree: ReadonlySet<string>,
): Promise<number> => {
  const known = new Map(Object.entries((await readDurable(listFile, Outputs).catch(() => undefined)) ?? {}));
  const found = await filesIn(asUser, src);
  // What can't be named can't be removed by its name.
  if (found.some(({ path }) => isOddName(path))) {
    await asUser(['find', src, '-mindepth', '1', '-delete']);
    return found.length;
  }
  const outputs = found.filter(({ path }) => !ofTheTree.has(path));
  const there = await hashesOf(asUser, src, outputs);
  const unknown = outputs
    .map(({ path }) => path)
    .filter((path) => there[path] === undefined || known.get(path) !== there[path]);
  if (unknown.length > 0)
    await asUser(['xargs', '-0', 'rm', '-f', '--'], {
      input: unknown.map((path) => join(src, path)).join('\0'),
    });
  // Empty folders stay: kbuild finds its own commands by paths that lead through them, and would compile everything.
  return unknown.length;
};
