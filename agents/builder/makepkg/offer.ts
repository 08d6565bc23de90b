import { chown, lchown, lstat, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hashFile } from '../../../host/hash-file.ts';
import type { Run } from '../../../host/run.ts';
import { syncPath } from '../../../host/sync-path.ts';
import { sha256 } from '../../../schemas/hash.ts';
import type { PackageFile, StepEvidence } from '../../../schemas/steps.ts';
import { StepFailed } from '../../runtime/errors.ts';
import type { Probed } from '../../runtime/step.ts';

/** Describes the offer: the build's evidence, beside the packages. */
const manifestName = 'offer.json';

const keyValues = (text: string): Record<string, string[]> => {
  // Without a prototype: a key may be called `constructor`.
  const values: Record<string, string[]> = Object.create(null);
  for (const line of text.split('\n')) {
    const [, key, value] = /^([^#=\s]+) = (.*)$/.exec(line) ?? [];
    if (key === undefined || value === undefined) continue;
    const known = values[key];
    if (known) known.push(value);
    else values[key] = [value];
  }
  return values;
};

/** A file of the package's metadata, `.PKGINFO` or `.BUILDINFO`. */
const metadata = async (run: Run, file: string, member: string): Promise<string> =>
  (await run(['bsdtar', '-xOf', file, member], { quiet: true })).stdout;

/**
 * Makes the agent the owner of what a build left in `folder`, so that the user that built it can't change it any more.
 * @throws {StepFailed} (work) if anything there is not a plain file.
 */
export const takePackages = async (folder: string): Promise<void> => {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  await chown(folder, uid, gid);
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (!(await lstat(path)).isFile())
      throw new StepFailed('work', `the build left ${name} among the packages; expected package files alone`);
    await lchown(path, uid, gid);
  }
};

/**
 * Checks the packages that a build left in `folder`: exactly the expected names, each with the expected version.
 * @throws {StepFailed} (work) if they differ.
 */
export const inspectPackages = async (
  run: Run,
  folder: string,
  { names, version, carch }: { names: readonly string[]; version: string; carch: string },
): Promise<{ packages: PackageFile[]; buildinfo: Record<string, string[]>; buildinfoSha256: string }> => {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.pkg.tar.zst')).sort();
  const found = new Map<string, { file: string; version: string; arch: string }>();
  for (const file of files) {
    const info = keyValues(await metadata(run, join(folder, file), '.PKGINFO'));
    const [name = '', built = '', arch = ''] = [info.pkgname?.[0], info.pkgver?.[0], info.arch?.[0]];
    found.set(name, { file, version: built, arch });
  }
  const list = (all: Iterable<string>) => [...all].sort().join(', ') || 'none';
  if (list(found.keys()) !== list(names))
    throw new StepFailed('work', `makepkg built the packages ${list(found.keys())}; expected ${list(names)}`);
  const packages: PackageFile[] = [];
  let buildinfo: string | undefined;
  for (const name of names) {
    const one = found.get(name);
    if (!one) continue;
    if (one.version !== version)
      throw new StepFailed('work', `${one.file} has version ${one.version}; expected ${version}`);
    if (one.arch !== carch && one.arch !== 'any')
      throw new StepFailed('work', `${one.file} is for ${one.arch}; expected ${carch}`);
    const path = join(folder, one.file);
    packages.push({ name, file: one.file, ...(await hashFile(path)) });
    buildinfo ??= await metadata(run, path, '.BUILDINFO');
  }
  return { packages, buildinfo: keyValues(buildinfo ?? ''), buildinfoSha256: sha256(buildinfo ?? '') };
};

/**
 * Removes half-made packages of attempts that were cut, failed or were superseded. A host makes one build at a time.
 */
export const removeParts = async (offeredFolder: string): Promise<void> => {
  const names = await readdir(offeredFolder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return [];
  });
  for (const name of names)
    if (name.endsWith('.part')) await rm(join(offeredFolder, name), { recursive: true, force: true });
};

/** Offers what is in `part` as `folder`, in one rename, with the evidence beside it. */
export const offerPackages = async (
  part: string,
  folder: string,
  evidence: StepEvidence<'build'>,
): Promise<void> => {
  const manifest = await open(join(part, manifestName), 'wx');
  await manifest.writeFile(JSON.stringify(evidence));
  await manifest.close();
  for (const name of await readdir(part)) await syncPath(join(part, name));
  await syncPath(part);
  await rm(folder, { recursive: true, force: true });
  await rename(part, folder);
  await syncPath(dirname(folder));
};

/** Whether `folder` offers exactly the packages in its manifest, byte for byte. */
export const probeOffer = async (folder: string): Promise<Probed<StepEvidence<'build'>>> => {
  const manifest = await readFile(join(folder, manifestName), 'utf8').catch(() => undefined);
  if (manifest === undefined) return { happened: 'no' };
  const evidence: StepEvidence<'build'> = JSON.parse(manifest);
  for (const { file, sha256 } of evidence.packages) {
    const now = await hashFile(join(folder, file)).catch(() => undefined);
    if (now?.sha256 !== sha256) return { happened: 'no' };
  }
  return { happened: 'yes', result: evidence };
};
