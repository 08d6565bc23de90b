import { basename } from 'node:path';
import { ProgramFailed } from '../../host/errors.ts';
import { hashFile } from '../../host/hash-file.ts';
import type { Run } from '../../host/run.ts';
import { PackageName, PackageVersion } from '../../schemas/names.ts';
import type { PackageFile } from '../../schemas/steps.ts';
import { StepFailed } from '../runtime/errors.ts';

/** A package file and the version that it names. */
export type VersionedPackage = PackageFile & { version: string };

/** One package in a repository's database. */
export interface DatabaseEntry {
  name: string;
  version: string;
  file: string;
  sha256: string | undefined;
}

/**
 * Reads a package file's name and version from its `.PKGINFO`, with its size and sha256.
 * @throws {StepFailed} (work) if it is not a package.
 */
export const describePackage = async (run: Run, path: string): Promise<VersionedPackage> => {
  // Under another kind of name it could replace a signature or a database in a repository.
  if (!/\.pkg\.tar(\.[a-z0-9]+)?$/.test(path) || path.endsWith('.sig'))
    throw new StepFailed('work', `${path} is not named like a package: "….pkg.tar.zst" was expected.`);
  const { stdout } = await run(['bsdtar', '-xOqf', path, '.PKGINFO'], { quiet: true }).catch(
    (error: unknown) => {
      if (!(error instanceof ProgramFailed) || error.exitCode === undefined) throw error;
      throw new StepFailed('work', `${path} is not a package: ${error.message}.`, { cause: error });
    },
  );
  const value = (key: string) => new RegExp(`^${key} = (.*)$`, 'm').exec(stdout)?.[1];
  const name = PackageName.safeParse(value('pkgname'));
  const version = PackageVersion.safeParse(value('pkgver'));
  if (!name.success || !version.success)
    throw new StepFailed(
      'work',
      `The .PKGINFO of ${path} names "${value('pkgname')}" "${value('pkgver')}", which are not a package and a version.`,
    );
  return { name: name.data, version: version.data, file: basename(path), ...(await hashFile(path)) };
};

/** Every entry of a database that repo-add made (its `desc` files: `%KEY%`, values, an empty line). */
export const readDatabase = async (run: Run, database: string): Promise<DatabaseEntry[]> => {
  const { stdout } = await run(['bsdtar', '-xOf', database, '--include', '*/desc'], { quiet: true });
  return stdout
    .split(/^(?=%FILENAME%$)/m)
    .filter((desc) => desc.startsWith('%FILENAME%'))
    .map((desc) => {
      const value = (key: string) => new RegExp(`^%${key}%\n(.*)$`, 'm').exec(desc)?.[1];
      return {
        name: value('NAME') ?? '',
        version: value('VERSION') ?? '',
        file: value('FILENAME') ?? '',
        sha256: value('SHA256SUM'),
      };
    });
};

/**
 * Refuses versions that are older than the repository's: repo-add accepts them silently. A version that the repository
 * holds is refused too, unless the file is the same: then an earlier attempt got that far, and this one goes on.
 * @throws {StepFailed} (work)
 */
export const refuseOlder = async (
  run: Run,
  packages: readonly VersionedPackage[],
  held: readonly DatabaseEntry[],
): Promise<void> => {
  for (const { name, version, sha256 } of packages) {
    const entry = held.find((entry) => entry.name === name);
    if (entry === undefined) continue;
    const order = Number((await run(['vercmp', version, entry.version], { quiet: true })).stdout);
    if (order > 0 || (order === 0 && entry.version === version && entry.sha256 === sha256)) continue;
    throw new StepFailed(
      'work',
      order < 0
        ? `${name} ${version} is older than ${entry.version}, which the repository holds: a repository never goes back, so raise pkgrel.`
        : `The repository already holds another ${name} ${entry.version} (${entry.file}, ${entry.sha256}): raise pkgrel, since nobody would get this ${version}.`,
    );
  }
};
