import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

/** Copies a file with `@NAME@` replaced by the value of that name. A name without a value is left as it is. */
export const fillFile = async (
  from: string,
  to: string,
  values: Readonly<Record<string, string>>,
): Promise<void> => {
  await mkdir(dirname(to), { recursive: true });
  // In latin1, every byte that is not replaced is copied unchanged.
  const text = (await readFile(from, 'latin1')).replace(/@([A-Z][A-Z0-9_]*)@/g, (all, name: string) =>
    Object.hasOwn(values, name) ? (values[name] ?? all) : all,
  );
  await writeFile(to, text, { encoding: 'latin1', mode: (await stat(from)).mode & 0o777 });
};

/** {@link fillFile} for every file of a folder; `PKGBUILD.in` becomes `PKGBUILD`. */
export const fillFolder = async (
  from: string,
  to: string,
  values: Readonly<Record<string, string>>,
): Promise<void> => {
  for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    await fillFile(file, join(to, relative(from, file)).replace(/\.in$/, ''), values);
  }
};
