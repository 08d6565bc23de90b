import { printable } from '../../../schemas/printable.ts';
import { StepFailed } from '../errors.ts';
import type { MtreeEntry } from './mtree.ts';
import type { PackageContent } from './package-file.ts';

/** What a package holds: as much of it as is compared. */
export type Contents = Pick<PackageContent, 'entries' | 'scriptlet'>;

/** A path of a package that the plan allows, or, with a slash at its end, a folder and all below it. */
type Allowed = readonly { path: string }[];

const scriptletPath = '/.INSTALL';

/** The places that every kernel package fills anew: folders with all below them, and single files. */
const ownPlaces = ({ name, base }: { name: string; base: string }): string[] => [
  ...['/boot/', '/usr/lib/modules/'],
  ...[name, base].flatMap((own) => [
    `/usr/share/licenses/${own}/`,
    `/usr/share/doc/${own}/`,
    `/usr/lib/modules-load.d/${own}.conf`,
  ]),
];

const isIn = (places: readonly string[], path: string): boolean =>
  places.some((place) => (place.endsWith('/') ? `${path}/`.startsWith(place) : path === place));

/** Whether a folder has to be there because one of the places is below it. */
const leadsTo = (places: readonly string[], path: string): boolean =>
  places.some((place) => place.startsWith(`${path}/`));

/** Everything about an entry that has to stay as it was, outside a kernel package's own places. */
const looksOf = ({ type, mode, owner, link }: MtreeEntry): string =>
  [type, mode.toString(8), owner, ...(link === undefined ? [] : [`to ${link}`])].join(' ');

/** Root's, without set-id bits, and not for everybody to write. A link has no mode of its own. */
const isOrdinary = ({ type, mode, owner }: MtreeEntry): boolean =>
  owner === '0:0' && (type === 'link' || (mode & 0o7002) === 0);

/**
 * What a package brings that the package before it did not, outside the places that every kernel package fills: paths,
 * and the owners, modes and links of paths that were there; a scriptlet that is another one; in those places, what is
 * not root's alone. What the plan allows is left out.
 * @param before the package before; undefined if there is none, and then everything is new.
 */
export const unexpectedContents = (
  after: Contents & { name: string; base: string },
  before: Contents | undefined,
  allowed: Allowed,
): string[] => {
  const known = new Map(before?.entries.map((entry) => [entry.path, looksOf(entry)]));
  const links = new Set(after.entries.flatMap(({ type, path }) => (type === 'link' ? [path] : [])));
  const places = ownPlaces(after);
  const allowedPlaces = allowed.map(({ path }) => path);
  const found: string[] = [];
  for (const entry of after.entries) {
    const path = `/${entry.path}`;
    const looks = looksOf(entry);
    const parents = entry.path.split('/').slice(0, -1);
    const through = parents.map((_, at) => parents.slice(0, at + 1).join('/')).find((one) => links.has(one));
    if (through !== undefined) found.push(`${path} (below the link /${through})`);
    else if (known.get(entry.path) === looks || isIn(allowedPlaces, path)) continue;
    else if (isIn(places, path) || (entry.type === 'dir' && leadsTo([...places, ...allowedPlaces], path))) {
      if (!isOrdinary(entry)) found.push(`${path} (${looks})`);
    } else
      found.push(`${path} (${looks}${known.has(entry.path) ? `; before: ${known.get(entry.path)}` : ''})`);
  }
  const isOther = after.scriptlet !== null && after.scriptlet !== (before?.scriptlet ?? null);
  if (isOther && !isIn(allowedPlaces, scriptletPath)) found.push(`${scriptletPath} (another scriptlet)`);
  return found;
};

const namedAtMost = 10;

/** Refuses a package that holds what {@link unexpectedContents} finds. @throws {StepFailed} (work) */
export const refuseUnexpectedContents = (
  after: PackageContent,
  before: Contents | undefined,
  { base, allows = [] }: { base: string; allows?: Allowed | undefined },
): void => {
  const found = unexpectedContents({ ...after, base }, before, allows).map(printable);
  if (found.length === 0) return;
  const more = found.length > namedAtMost ? `, and ${found.length - namedAtMost} more` : '';
  const what = before
    ? 'what the package before did not'
    : 'more than a kernel, and there is no package before';
  throw new StepFailed(
    'work',
    `${after.file} holds ${what}: ${found.slice(0, namedAtMost).join(', ')}${more}. If it is meant to, the plan says so under package.allows, with the reason`,
  );
};
