import { hash } from 'node:crypto';
import { lstatSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as others } from 'node:timers/promises';
import { hashFile } from '../../runtime/hash-file.ts';

/** One file of a manifest; `path` is relative to the root that the manifest describes. */
export interface MtreeEntry {
  path: string;
  type: 'file' | 'dir' | 'link';
  sizeBytes: number;
  sha256?: string;
  link?: string;
}

const withoutEscapes = (text: string): string =>
  text.includes('\\')
    ? Buffer.from(
        text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
        'latin1',
      ).toString('utf8')
    : text;

/**
 * Reads a manifest in mtree(5), as bsdtar and pacman write it: one full path a line, `/set` for defaults.
 * A package's own top-level dot files (`.PKGINFO` and the like) are no part of what gets installed and are left out.
 */
export const parseMtree = (text: string): MtreeEntry[] => {
  const defaults = new Map<string, string>();
  const entries: MtreeEntry[] = [];
  for (const line of text.split('\n')) {
    const [name = '', ...words] = line.trim().split(' ');
    const own = name === '/set' ? defaults : new Map(defaults);
    for (const word of words) {
      const at = word.indexOf('=');
      if (at > 0) own.set(word.slice(0, at), word.slice(at + 1));
    }
    const path = withoutEscapes(name.replace(/^\.\//, ''));
    if (name === '' || name.startsWith('#') || name.startsWith('/') || path === '.' || /^\.[^/]*$/.test(path))
      continue;
    const type = own.get('type');
    if (type !== 'file' && type !== 'dir' && type !== 'link') continue; // see unsafeMember
    const sha256 = own.get('sha256digest') ?? own.get('sha256');
    const link = own.get('link');
    entries.push({
      path,
      type,
      sizeBytes: Number(own.get('size') ?? 0),
      ...(type === 'file' && sha256 !== undefined ? { sha256 } : {}),
      ...(type === 'link' && link !== undefined ? { link: withoutEscapes(link) } : {}),
    });
  }
  return entries;
};

/**
 * A member of an archive's manifest that has no business in a package or a backup: a path that leads out of where it is
 * unpacked, or a device, pipe or socket.
 */
export const unsafeMember = (text: string): string | undefined => {
  for (const line of text.split('\n')) {
    const [name = '', ...words] = line.trim().split(' ');
    if (name === '' || name.startsWith('#') || name === '/set') continue;
    const path = withoutEscapes(name);
    const type = words.find((word) => word.startsWith('type='))?.slice('type='.length);
    const leadsOut = path.startsWith('/') || path.split('/').includes('..');
    if (leadsOut || (type !== undefined && !['file', 'dir', 'link'].includes(type)))
      return `${path} (${leadsOut ? 'it leads out of the archive' : type})`;
  }
  return undefined;
};

/** A larger file is read piece by piece. */
const readAtOnceBytes = 256 * 1024;
/** The agent has other things to do as well. */
const filesAtATime = 32;

/**
 * A package of headers is thousands of small files: read one after the other by calls that return at once, they take a
 * tenth of the time of a stream each.
 */
const isAsListed = async (root: string, entry: MtreeEntry, mayDiffer: boolean): Promise<boolean> => {
  const file = join(root, entry.path);
  if (entry.type === 'dir') return statSync(file).isDirectory();
  const found = lstatSync(file);
  if (mayDiffer) return true;
  if (entry.type === 'link') return found.isSymbolicLink() && readlinkSync(file) === entry.link;
  if (!found.isFile() || found.size !== entry.sizeBytes) return false;
  if (entry.sha256 === undefined) return true;
  if (found.size > readAtOnceBytes) return (await hashFile(file)).sha256 === entry.sha256;
  return hash('sha256', readFileSync(file), 'hex') === entry.sha256;
};

/**
 * Compares what is below `root` with a manifest.
 * @param mayDiffer Paths whose content is the owner's: they only have to be there.
 * @returns The paths, as the board names them, that are missing or hold something else.
 */
export const alteredFiles = async (
  root: string,
  entries: readonly MtreeEntry[],
  mayDiffer: ReadonlySet<string> = new Set(),
): Promise<string[]> => {
  const altered: string[] = [];
  for (const [at, entry] of entries.entries()) {
    if (at % filesAtATime === 0) await others();
    const same = await isAsListed(root, entry, mayDiffer.has(entry.path)).catch((error: unknown) => {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ENOENT' || code === 'ENOTDIR') return false;
      throw error;
    });
    if (!same) altered.push(`/${entry.path}`);
  }
  return altered;
};
