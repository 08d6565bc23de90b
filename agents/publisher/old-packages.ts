import { readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Run } from '../../host/run.ts';
import { proofSuffix } from '../../schemas/attestation.ts';
import type { PublisherConfig } from '../../schemas/config.ts';
import { FileName } from '../../schemas/names.ts';
import { overLimit } from '../runtime/disks/over-limit.ts';
import { readDatabase } from './package-database.ts';

type Config = Pick<PublisherConfig, 'repository' | 'keep'>;

/** The package file that a file is beside, by its name: as its signature, or its proof. */
const besideWhat = (file: string): string => {
  const suffix = ['.sig', proofSuffix].find((each) => file.endsWith(each)) ?? '';
  return file.slice(0, file.length - suffix.length);
};

/** `linux-7.0-2-aarch64.pkg.tar.zst` → `linux`; undefined for what is no package's file. */
const packageName = (file: string): string | undefined =>
  /^(.+)-[^-]+-[^-]+-[^-]+\.pkg\.tar(\.[a-z0-9]+)?$/.exec(file)?.[1];

/** A package's file in a view, with its signature's size. */
interface OldPackage {
  file: string;
  at: number;
  sizeBytes: number;
  isNeeded: boolean;
}

/** The files that the databases of views name. */
const namedIn = async (run: Run, name: string, views: readonly string[]): Promise<Set<string>> => {
  const named = new Set<string>();
  for (const view of views)
    for (const { file } of await readDatabase(run, join(view, `${name}.db.tar.gz`))) named.add(file);
  return named;
};

/** The package files of a view, by the names of their packages. */
const packagesIn = async (view: string, needed: ReadonlySet<string>): Promise<Map<string, OldPackage[]>> => {
  const found = new Map<string, OldPackage[]>();
  for (const file of await readdir(view)) {
    const name = packageName(file);
    if (name === undefined) continue;
    const path = join(view, file);
    const [{ mtimeMs, size }, signature] = await Promise.all([
      stat(path),
      stat(`${path}.sig`).catch(() => undefined),
    ]);
    const one = {
      file,
      at: mtimeMs,
      sizeBytes: size + (signature?.size ?? 0),
      isNeeded: needed.has(file),
    };
    found.set(name, [...(found.get(name) ?? []), one]);
  }
  return found;
};

/**
 * Takes out of a view that is being made the packages that are over the limit. What the database of any view here names
 * stays: somebody has that database in his hands, or goes back to that view.
 * @param folder The view, with its own database.
 */
export const removeOldPackages = async (
  run: Run,
  { repository, keep }: Config,
  folder: string,
): Promise<void> => {
  const views = dirname(folder);
  const others = (await readdir(views)).filter((view) => !view.startsWith('.'));
  const needed = await namedIn(run, repository.name, [folder, ...others.map((view) => join(views, view))]);
  for (const packages of (await packagesIn(folder, needed)).values())
    for (const { file } of overLimit(packages, keep.packages, {
      now: Date.now(),
      sizeOf: ({ sizeBytes }) => sizeBytes,
    }))
      for (const suffix of ['', '.sig', proofSuffix])
        await rm(join(folder, `${file}${suffix}`), { force: true });
};

/** The packages, and what is beside them, that a view no longer has of those that the view before it had. */
export const packagesGone = async (
  { repository }: Config,
  { base, view }: { base: string | null; view: string },
): Promise<string[]> => {
  if (base === null) return [];
  const filesOf = (name: string) => readdir(join(repository.folder, 'views', basename(name))).catch(() => []);
  const now = new Set(await filesOf(view));
  return (await filesOf(base)).filter(
    (file) =>
      !now.has(file) && packageName(besideWhat(file)) !== undefined && FileName.safeParse(file).success,
  );
};
