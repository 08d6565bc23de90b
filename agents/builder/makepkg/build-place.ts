import { join } from 'node:path';
import type { Confinement } from './confinement.ts';

/** Where a build happens, on this host's disk. */
export interface BuildPlace {
  /** The folder with the PKGBUILD: makepkg's startdir. */
  packageFolder: string;
  /** BUILDDIR: makepkg's `src` and `pkg` are in its `<pkgbase>/`. */
  buildFolder: string;
  /** Where `buildFolder` is while sources are prepared in its place: what prepares them does not see it. */
  keptFolder: string;
  /** Where the prepared sources wait until they are brought over into `buildFolder`. */
  freshFolder: string;
  /** PKGDEST. */
  packagesFolder: string;
  /** HOME of the user that builds, where nothing confines it; otherwise its home is empty at each start. */
  homeFolder: string;
  /** Held by every program that works in the place, for as long as one of its processes lives. */
  lockFile: string;
  /** SOURCE_DATE_EPOCH, in seconds, unless the host's config sets one. */
  epochSeconds: number;
}

/** The folders of a build as its programs see them. */
type SeenPlace = Pick<BuildPlace, 'packageFolder' | 'buildFolder' | 'packagesFolder' | 'homeFolder'> & {
  sourcesFolder: string;
};

/**
 * Where confined programs see a build's folders: at the same paths for every build on every builder, because prepare()
 * and build() may write their paths into files, and `.BUILDINFO` does.
 */
const confinedPlace: SeenPlace = {
  packageFolder: '/build/package',
  buildFolder: '/build/work',
  packagesFolder: '/build/packages',
  homeFolder: '/build/home',
  sourcesFolder: '/build/sources',
};

/** Where programs see the folders of a place. Without confinement they see them where they are. */
export const seenFrom = (by: Confinement['by'], place: BuildPlace, sourcesFolder: string): SeenPlace =>
  by === 'bwrap' ? confinedPlace : { ...place, sourcesFolder };

/** The file in the sources' folder to which a link leads that makepkg has made for a source; undefined for other links. */
export const sourceBehind = (link: string, sourcesFolder: string): string | undefined => {
  for (const folder of [confinedPlace.sourcesFolder, sourcesFolder]) {
    const name = link.startsWith(`${folder}/`) ? link.slice(folder.length + 1) : '';
    if (name !== '' && name !== '..' && !name.includes('/')) return join(sourcesFolder, name);
  }
  return undefined;
};

/** A path as confined programs would see it, so that a link says the same whether or not there is confinement. */
export const spelledAsSeen = (path: string, place: BuildPlace, sourcesFolder: string): string => {
  const seen: SeenPlace = { ...place, sourcesFolder };
  for (const key of ['packageFolder', 'buildFolder', 'sourcesFolder'] as const)
    if (path === seen[key] || path.startsWith(`${seen[key]}/`))
      return confinedPlace[key] + path.slice(seen[key].length);
  return path;
};
