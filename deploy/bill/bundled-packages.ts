import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import { z } from 'zod';
import { checkout } from '../checkout.ts';

/** A package of which a bundle holds code. */
export interface BundledPackage {
  name: string;
  version: string;
  /** Its folder in the checkout, as package-lock.json names it. */
  folder: string;
  /** The hash of its archive, by which npm has checked it: `sha512-` and base64. */
  integrity: string;
  /** An SPDX expression, or what else it calls its licence. */
  licence: string;
}

const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      integrity: z.string().optional(),
      license: z.string().optional(),
    }),
  ),
});

const modules = 'node_modules/';

/** `node_modules/a/node_modules/b` of `node_modules/a/node_modules/b/lib/c.js`; undefined for a file of our own. */
const folderOf = (input: string): string | undefined => {
  const last = input.lastIndexOf(modules);
  if (last < 0) return undefined;
  const [first = '', second = ''] = input.slice(last + modules.length).split('/');
  const name = first.startsWith('@') ? `${first}/${second}` : first;
  return `${input.slice(input.indexOf(modules), last)}${modules}${name}`;
};

/** The packages of which files are in these outputs, by name: esbuild's word for it, with the facts of the lock file. */
export const bundledPackages = async ({ outputs }: Metafile): Promise<BundledPackage[]> => {
  const lock = Lock.parse(JSON.parse(await readFile(join(checkout, 'package-lock.json'), 'utf8')));
  const folders = new Set(
    Object.values(outputs).flatMap(({ inputs }) =>
      Object.keys(inputs).flatMap((input) => folderOf(input) ?? []),
    ),
  );
  return [...folders].sort().map((folder) => {
    const name = folder.slice(folder.lastIndexOf(modules) + modules.length);
    const { version, integrity, license } = lock.packages[folder] ?? {};
    if (version === undefined || integrity === undefined)
      throw new Error(
        `package-lock.json has no version and integrity for ${folder}, of which a bundle holds code: npm ci puts the packages of that file there`,
      );
    return { name, version, folder, integrity, licence: license ?? 'unknown' };
  });
};

const noticeNames = /^(licen[cs]e|copying|notice|copyright)/i;

/** The licence and notice files in a package's own folder, with their texts. */
const noticesOf = async (folder: string): Promise<string[]> => {
  const at = join(checkout, folder);
  const names = (await readdir(at, { withFileTypes: true }))
    .filter((entry) => entry.isFile() && noticeNames.test(entry.name))
    .map(({ name }) => name)
    .sort();
  return Promise.all(names.map(async (name) => (await readFile(join(at, name), 'utf8')).trim()));
};

/**
 * The notices that go with a bundle: of each package its licence's name and files, then what the bundler found in
 * comments.
 * @param comments esbuild's legal comments.
 */
export const licenceNotices = async (
  packages: readonly BundledPackage[],
  comments: readonly string[],
): Promise<string> => {
  const parts: string[] = [];
  for (const { name, version, folder, licence } of packages) {
    const texts = await noticesOf(folder);
    parts.push(`## ${name} ${version}\n\nLicence: ${licence}`, ...texts);
  }
  const said = [...new Set(comments.map((text) => text.trim()).filter((text) => text !== ''))].sort();
  if (said.length > 0) parts.push('## In comments of these packages', ...said);
  return `# Licences of what is bundled here\n\n${parts.join('\n\n')}\n`;
};
