import { TreePath } from '../../schemas/names.ts';

export const blockBytes = 512;

/** An archive can't be written, or is not one that `ka export` writes. The message says what to do. */
export class ArchiveFault extends Error {
  override readonly name = 'ArchiveFault';
}

/** How many bytes fill a member's last block. */
export const paddingOf = (sizeBytes: number): number => (blockBytes - (sizeBytes % blockBytes)) % blockBytes;

/** The largest size that a header's eleven octal digits can name. */
const largestBytes = 8 ** 11 - 1;

/**
 * The header of a regular file in a ustar archive (POSIX.1-2017, pax, "ustar Interchange Format"): mode 0644, owner 0,
 * time 0. So name and size alone determine its bytes, on every host.
 * @throws {ArchiveFault} if the name is no plain relative path of at most 100 characters, or the size is out of range.
 */
export const memberHeader = (name: string, sizeBytes: number): Buffer => {
  if (!TreePath.safeParse(name).success || name.length > 100)
    throw new ArchiveFault(
      `${JSON.stringify(name)} can't be the name of an archive's member: it has to be a relative path without "..", of 100 characters at most.`,
    );
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || sizeBytes > largestBytes)
    throw new ArchiveFault(`${name} has ${sizeBytes} bytes: a member holds ${largestBytes} at most.`);
  const header = Buffer.alloc(blockBytes);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, '0');
  header.write(name, 0, 'latin1');
  header.write(octal(0o644, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(sizeBytes, 11), 124);
  header.write(octal(0, 11), 136);
  header.write('0', 156);
  header.write('ustar\u000000', 257);
  header.write(octal(0, 7), 329);
  header.write(octal(0, 7), 337);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)}\u0000 `, 148);
  return header;
};

/**
 * Reads a header that {@link memberHeader} wrote, and refuses every other one: a link, a device, a folder, an
 * extension, a leading `/` or a `..`. Name and size have to produce exactly the same bytes again.
 * @param at the header's place in the archive, for the message.
 * @throws {ArchiveFault}
 */
export const readMemberHeader = (header: Buffer, at: number): { name: string; sizeBytes: number } => {
  const name = header.toString('latin1', 0, 100).split('\0', 1)[0] ?? '';
  const size = header.toString('latin1', 124, 135);
  if (/^[0-7]{11}$/.test(size) && TreePath.safeParse(name).success) {
    const sizeBytes = Number.parseInt(size, 8);
    if (memberHeader(name, sizeBytes).equals(header)) return { name, sizeBytes };
  }
  throw new ArchiveFault(
    `The member at byte ${at} is not one that \`ka export\` writes (a plain file under a relative name): give the archive as it was exported.`,
  );
};
