import { lstat, open, rename, rm } from 'node:fs/promises';
import { ArchiveFault, blockBytes, memberHeader, paddingOf } from './ustar.ts';

export interface ArchivePart {
  /** A relative path like `attestations/build.1.json`. */
  name: string;
  bytes: Uint8Array;
}

/** In order of their names by code unit, each once. @throws {ArchiveFault} */
const inOrder = (parts: readonly ArchivePart[]): ArchivePart[] => {
  const sorted = [...parts].sort((a, b) => (a.name < b.name ? -1 : 1));
  const twice = sorted.find(({ name }, index) => sorted[index + 1]?.name === name);
  if (twice) throw new ArchiveFault(`The archive would hold ${twice.name} twice.`);
  return sorted;
};

const exists = (file: string): Promise<boolean> =>
  lstat(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );

/**
 * Writes the parts as one tar archive; the same parts give the same bytes. What stands at `file` is whole or is what
 * stood there before: the archive is on disk as `<file>.part` before it gets its name.
 * @throws {ArchiveFault} if the file is there and may not be overwritten, or for a part that can't be a member.
 */
export const writeArchive = async (
  file: string,
  parts: readonly ArchivePart[],
  { overwrite = false }: { overwrite?: boolean } = {},
): Promise<void> => {
  const members = inOrder(parts).flatMap(({ name, bytes }) => [
    memberHeader(name, bytes.byteLength),
    bytes,
    Buffer.alloc(paddingOf(bytes.byteLength)),
  ]);
  if (!overwrite && (await exists(file)))
    throw new ArchiveFault(
      `${file} is there already: name another file with --out, or overwrite it with --force`,
    );
  const part = `${file}.part`;
  // What an export that was cut has left; made anew, so that no link that waits there is followed.
  await rm(part, { force: true });
  const handle = await open(part, 'wx');
  try {
    for (const bytes of [...members, Buffer.alloc(2 * blockBytes)]) await handle.writeFile(bytes);
    await handle.sync();
    await handle.close();
    await rename(part, file);
  } catch (error) {
    await handle.close().catch(() => undefined);
    await rm(part, { force: true });
    throw error;
  }
};
