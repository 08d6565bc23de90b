import { lstat, open, rename, rm } from 'node:fs/promises';
import { ArchiveFault, blockBytes, memberHeader, paddingOf } from './ustar.ts';

export interface ArchivePart {
  /** A relative path like `attestations/build.1.json`. */
  name: string;
  bytes: Uint8Array;
}

/** The parts in order of their names, by code unit. @throws {ArchiveFault} if a name occurs twice. */
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
 * Writes the parts as one tar archive; the same parts give the same bytes. `file` never holds half an archive: it is on
 * disk as `<file>.part` before it gets its name.
 * @throws {ArchiveFault} if the file exists and may not be overwritten, or if a part can't be a member.
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
  // Left by an interrupted export. It is removed and created again, so that no link planted there is followed.
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
