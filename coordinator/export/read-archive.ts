import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { ArchiveFault, blockBytes, paddingOf, readMemberHeader } from './ustar.ts';

/** Reads exactly `sizeBytes` bytes at `at`. @throws {ArchiveFault} if the file ends before. */
const readExactly = async (handle: FileHandle, at: number, sizeBytes: number): Promise<Buffer> => {
  const bytes = Buffer.alloc(sizeBytes);
  for (let filled = 0; filled < sizeBytes; ) {
    const { bytesRead } = await handle.read(bytes, filled, sizeBytes - filled, at + filled);
    if (bytesRead === 0)
      throw new ArchiveFault(`The archive is cut: it ends at byte ${at + filled}, within a member.`);
    filled += bytesRead;
  }
  return bytes;
};

const isZero = (bytes: Buffer): boolean => bytes.every((byte) => byte === 0);

/**
 * Finds the named member's bytes, and checks the whole archive on the way. Members are in the order of their names, so
 * none can occur twice.
 */
const findMember = async (
  handle: FileHandle,
  archiveBytes: number,
  wanted: string,
): Promise<{ at: number; sizeBytes: number } | undefined> => {
  let found: { at: number; sizeBytes: number } | undefined;
  let before: string | undefined;
  for (let at = 0; ; ) {
    const block = await readExactly(handle, at, blockBytes);
    if (isZero(block)) {
      const isEnd =
        at + 2 * blockBytes === archiveBytes &&
        isZero(await readExactly(handle, at + blockBytes, blockBytes));
      if (!isEnd) throw new ArchiveFault(`The archive does not end as it should, at byte ${at}.`);
      return found;
    }
    const { name, sizeBytes } = readMemberHeader(block, at);
    if (before !== undefined && name <= before)
      throw new ArchiveFault(`The archive holds ${name} after ${before}: twice, or out of order.`);
    before = name;
    const start = at + blockBytes;
    const padding = paddingOf(sizeBytes);
    if (start + sizeBytes + padding > archiveBytes)
      throw new ArchiveFault(`The archive is cut: ${name} is to have ${sizeBytes} bytes.`);
    if (!isZero(await readExactly(handle, start + sizeBytes, padding)))
      throw new ArchiveFault(`The archive holds something between ${name} and what follows it.`);
    if (name === wanted) found = { at: start, sizeBytes };
    at = start + sizeBytes + padding;
  }
};

/**
 * Reads one member of an archive that `ka export` wrote; undefined if there is none of that name. Nothing is unpacked.
 * The file may come from anybody: every header is checked first, and a member that is not a plain file under a plain
 * relative name, or that occurs twice, is refused wherever it is.
 * @param limitBytes how large the member may be; it is held in memory.
 * @throws {ArchiveFault}
 */
export const readArchive = async (
  file: string,
  member: string,
  { limitBytes }: { limitBytes: number },
): Promise<Buffer | undefined> => {
  // Without O_NONBLOCK, opening a pipe would block.
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new ArchiveFault(`${file} is no plain file: give the archive itself.`);
    const found = await findMember(handle, stats.size, member);
    if (!found) return undefined;
    if (found.sizeBytes > limitBytes)
      throw new ArchiveFault(`${member} has ${found.sizeBytes} bytes, and ${limitBytes} at most are read.`);
    return await readExactly(handle, found.at, found.sizeBytes);
  } finally {
    await handle.close();
  }
};
