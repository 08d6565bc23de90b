import { existsSync, lstatSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as others } from 'node:timers/promises';
import type { Run } from '../../../host/run.ts';
import type { MtreeEntry } from '../../runtime/package/mtree.ts';

/** Paths per call of sha256sum. Even with paths of 4096 bytes they fit into argv. */
const filesAtATime = 400;

/**
 * The sha256 of those files below `root` that can be read, by path. On a slow board sha256sum takes a hundredth of our
 * time.
 */
const sha256Of = async (run: Run, root: string, paths: readonly string[]): Promise<Map<string, string>> => {
  const found = new Map<string, string>();
  for (let at = 0; at < paths.length; at += filesAtATime) {
    const argv = paths.slice(at, at + filesAtATime).map((path) => `./${path}`);
    const { stdout, stderr } = await run(['sha256sum', '--binary', '--zero', '--', ...argv], {
      cwd: root,
      exitCodes: [0, 1],
      quiet: true,
    });
    for (const line of stdout.split('\0')) {
      const [, sha256, path] = /^([0-9a-f]{64}) \*\.\/(.*)$/s.exec(line) ?? [];
      if (sha256 !== undefined && path !== undefined) found.set(path, sha256);
    }
    // A file that is gone by now counts as altered. One that can't be read is a fault of the disk, or of sha256sum.
    const unread = paths
      .slice(at, at + filesAtATime)
      .find((path) => !found.has(path) && existsSync(join(root, path)));
    if (unread !== undefined)
      throw new Error(`${join(root, unread)} can't be hashed: ${stderr.trim().slice(0, 500)}`);
  }
  return found;
};

/** Compares everything but a file's content: that it is there, its kind and size, and where a link leads. */
const looksAsListed = (root: string, entry: MtreeEntry, mayDiffer: boolean): boolean => {
  const file = join(root, entry.path);
  try {
    if (entry.type === 'dir') return statSync(file).isDirectory();
    const found = lstatSync(file);
    if (mayDiffer) return true;
    if (entry.type === 'link') return found.isSymbolicLink() && readlinkSync(file) === entry.link;
    return found.isFile() && found.size === entry.sizeBytes;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw error;
  }
};

/**
 * Compares what is below `root` with a manifest.
 * @param mayDiffer Paths whose content belongs to the board's owner: they only have to exist.
 * @returns The paths, as the board names them, that are missing or hold something else.
 */
export const alteredFiles = async (
  run: Run,
  root: string,
  entries: readonly MtreeEntry[],
  mayDiffer: ReadonlySet<string> = new Set(),
): Promise<string[]> => {
  const altered = new Set<string>();
  const toHash = new Map<string, string>();
  for (const [at, entry] of entries.entries()) {
    if (at % filesAtATime === 0) await others(); // let the agent's other work run
    const ownersOwn = mayDiffer.has(entry.path);
    if (!looksAsListed(root, entry, ownersOwn)) altered.add(entry.path);
    else if (entry.type === 'file' && entry.sha256 !== undefined && !ownersOwn)
      toHash.set(entry.path, entry.sha256);
  }
  const hashes = await sha256Of(run, root, [...toHash.keys()]);
  for (const [path, sha256] of toHash) if (hashes.get(path) !== sha256) altered.add(path);
  return [...altered].map((path) => `/${path}`);
};
