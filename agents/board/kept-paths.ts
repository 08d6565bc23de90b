import { basename, dirname, relative } from 'node:path';
import type { Run } from '../../host/run.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import { printable } from '../../schemas/printable.ts';
import type { StepEvidence } from '../../schemas/steps.ts';
import { StepFailed } from '../runtime/errors.ts';
import type { MtreeEntry } from '../runtime/package/mtree.ts';
import { type ArchiveMember, archiveMembers, linkTarget } from './archive-members.ts';
import { packagesFolder } from './backups-folder.ts';
import { onBoard } from './board-root.ts';

/** The part of a board's config that says what it keeps. */
export type KeepingHost = Pick<BoardConfig, 'root'> & {
  boot: Pick<BoardConfig['boot'], 'image' | 'initramfs' | 'keep'>;
};

export const modulesFolder = 'usr/lib/modules';

/** The kernel releases whose module folders a package owns. */
export const moduleReleases = (entries: readonly Pick<MtreeEntry, 'path'>[]): string[] => [
  ...new Set(
    entries.flatMap(({ path }) => {
      const [release, inside] = path.startsWith(`${modulesFolder}/`)
        ? path.slice(modulesFolder.length + 1).split('/')
        : [];
      return release !== undefined && inside !== undefined ? [release] : [];
    }),
  ),
];

/** What a rollback puts back besides packages, each path once, relative to the root. */
export const keptPaths = ({ root, boot }: KeepingHost, releases: readonly string[]): string[] => {
  const all = [
    ...[boot.image, boot.initramfs, ...boot.keep],
    ...releases.map((release) => `/${modulesFolder}/${release}`),
  ];
  return [...new Set(all.map((path) => relative(root, onBoard(root, path))))].sort();
};

/** PATH_MAX of Linux. */
const longestPath = 4096;

const isBelow = (path: string, folder: string): boolean =>
  folder === '' || path === folder || path.startsWith(`${folder}/`);

/** Links of a module folder that lead to the sources wherever those are, and that nothing is unpacked through. */
const toSources = /^usr\/lib\/modules\/[^/]+\/(?:build|source)$/;

/** Why a link may not be unpacked, if so. */
const linkFault = (member: ArchiveMember, kept: readonly string[]): string | undefined => {
  if (toSources.test(member.path)) return undefined;
  const target = linkTarget(member);
  const from = isBelow(member.path, modulesFolder) ? [...kept, modulesFolder] : kept;
  return target !== undefined && from.some((folder) => isBelow(target, folder))
    ? undefined
    : `a link to ${printable(member.link ?? '')}, which leads out of it`;
};

/** Why a member does not belong into a backup, by itself; undefined if it does. */
const memberFault = (
  member: ArchiveMember,
  kept: readonly string[],
  packages: ReadonlySet<string>,
): string | undefined => {
  const { kind, mode, path } = member;
  // Of a folder that more than that is in, only its being there is put back.
  if (kind === 'd' && (path === '.' || kept.some((folder) => isBelow(folder, path)))) return undefined;
  if (path.length > longestPath) return 'a name that is too long';
  if (path.startsWith('/') || path.split('/').some((step) => step === '' || step === '.' || step === '..'))
    return 'which leads out of the archive';
  if (!['-', 'd', 'l'].includes(kind)) return `which is neither file, folder nor link (tar: ${kind})`;
  if (isBelow(path, packagesFolder)) {
    const isExpected = path === packagesFolder ? kind === 'd' : kind === '-' && packages.has(path);
    return isExpected ? undefined : "which is none of the backup's packages";
  }
  if (!kept.some((folder) => isBelow(path, folder))) return "which this board's config does not keep";
  if (kind !== 'd' && /s/i.test(mode)) return 'which would run with the rights of its owner';
  return kind === 'l' ? linkFault(member, kept) : undefined;
};

/** The first member that does not belong into a backup, and why. */
const firstFault = (
  members: readonly ArchiveMember[],
  kept: readonly string[],
  packages: ReadonlySet<string>,
): string | undefined => {
  const seen = new Map<string, string>();
  for (const { path: name, ...rest } of members) {
    const member = { ...rest, path: name.replace(/^\.\//, '') };
    const { kind, path } = member;
    const fault = seen.has(path) ? 'twice' : memberFault(member, kept, packages);
    if (fault !== undefined) return `${printable(path)}, ${fault}`;
    seen.set(path, kind);
  }
  // A file of that name would go wherever the link leads.
  const isThrough = (path: string): boolean => {
    const folder = dirname(path);
    if (folder === '.') return false;
    return (seen.has(folder) && seen.get(folder) !== 'd') || isThrough(folder);
  };
  const through = [...seen.keys()].find(isThrough);
  return through === undefined ? undefined : `${printable(through)}, which is below a link or a file`;
};

/**
 * Requires that an archive holds nothing but the packages of its backup and what this board's config keeps: no path
 * elsewhere, no link that leads elsewhere, no device, nothing setuid.
 * @throws {StepFailed} (host), with the name of the first other member.
 */
export const requireOnlyKept = async (
  run: Run,
  host: KeepingHost,
  archive: string,
  { files, packages }: Pick<StepEvidence<'backup'>, 'files' | 'packages'>,
): Promise<void> => {
  const releases = files.flatMap(({ path }) => {
    const release = basename(path);
    return path === `/${modulesFolder}/${release}` && !['.', '..'].includes(release) ? [release] : [];
  });
  const inPackages = packages.flatMap(({ file }) => [file, `${file}.sig`]);
  const names = new Set(inPackages.map((file) => `${packagesFolder}/${file}`));
  const fault = firstFault(await archiveMembers(run, archive), keptPaths(host, releases), names);
  if (fault !== undefined)
    throw new StepFailed(
      'host',
      `${archive} holds ${fault}, so nothing of it is unpacked: see image, initramfs and keep of boot in the board's config.`,
    );
};
