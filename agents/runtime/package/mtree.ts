/** One file of a manifest; `path` is relative to the root that the manifest describes. */
export interface MtreeEntry {
  path: string;
  type: 'file' | 'dir' | 'link';
  sizeBytes: number;
  sha256?: string;
  link?: string;
  /** The permission bits, the set-id bits among them. */
  mode: number;
  /** `0:0` is root's. If a name contradicts its number, both are here. */
  owner: string;
}

const withoutEscapes = (text: string): string =>
  text.includes('\\')
    ? Buffer.from(
        text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
        'latin1',
      ).toString('utf8')
    : text;

/** pacman takes the name before the number, so one that is root only by its number is not root. */
const ownerOf = (id = '0', name?: string): string =>
  name === undefined || (name === 'root') === (id === '0') ? id : `${name}(${id})`;

/**
 * Reads a manifest in mtree(5), as bsdtar and pacman write it: one full path per line, `/set` for defaults. A package's
 * own top-level dot files (`.PKGINFO` and the like) are not installed and are left out.
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
      mode: Number.parseInt(own.get('mode') ?? '0', 8),
      owner: [ownerOf(own.get('uid'), own.get('uname')), ownerOf(own.get('gid'), own.get('gname'))].join(':'),
      ...(type === 'file' && sha256 !== undefined ? { sha256 } : {}),
      ...(type === 'link' && link !== undefined ? { link: withoutEscapes(link) } : {}),
    });
  }
  return entries;
};

/** The sha256 of a package's scriptlet; null if it has none. Of several, all are named: pacman takes the last. */
export const scriptletIn = (text: string): string | null => {
  const lines = text.split('\n').filter((line) => line.startsWith('./.INSTALL '));
  const hashes = lines.map((line) => /sha256(?:digest)?=(\S+)/.exec(line)?.[1] ?? 'unknown');
  return hashes.length === 0 ? null : hashes.join(' ');
};

/**
 * Returns a member of an archive's manifest that does not belong into a package or a backup: a path that leads out of
 * the folder where it is unpacked, or a device, pipe or socket.
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
