import type { Srcinfo } from '../pkgbuild/srcinfo.ts';

const versioned = new Set(['bzr', 'fossil', 'git', 'hg', 'svn']);

/** The name of a source's file in SRCDEST, as makepkg's `get_filename` in `util/source.sh` makes it. */
const fileName = (source: string): string => {
  const named = /^(.*?)::/.exec(source)?.[1];
  if (named !== undefined) return named;
  const kind = /^([a-z]+)(?:\+|:\/\/)/.exec(source)?.[1] ?? '';
  if (!versioned.has(kind)) return source.slice(source.lastIndexOf('/') + 1);
  const path = (source.split(/[#?]/, 1)[0] ?? '').replace(/\/$/, '');
  const last = path.slice(path.lastIndexOf('/') + 1);
  if (kind === 'git') return last.split('.git', 1)[0] ?? '';
  if (kind === 'bzr') return last.replace(/^.*?lp:/, '');
  return kind === 'fossil' ? `${last}.fossil` : last;
};

/** A source that makepkg has to fetch. The others are files beside the PKGBUILD, or were put into SRCDEST by a person. */
const isRemote = (source: string): boolean => /:\/\/|lp:/.test(source);

/** The names of a package's sources in SRCDEST, and of those that have to be fetched. */
export const namedSources = ({ base }: Srcinfo): { files: Set<string>; fetched: Set<string> } => {
  const all = [...base.values].flatMap(([key, values]) => (/^source(_|$)/.test(key) ? values : []));
  return { files: new Set(all.map(fileName)), fetched: new Set(all.filter(isRemote).map(fileName)) };
};
