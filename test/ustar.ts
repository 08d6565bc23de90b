/** One member of a tar archive. */
export interface Member {
  name: string;
  /** As POSIX ustar names them. */
  type: 'file' | 'hard link' | 'symlink' | 'char device' | 'block device' | 'folder' | 'fifo';
  link: string;
  content: string;
  /** The size in its header, if it is not the content's. */
  sizeBytes?: number | undefined;
  mode?: number;
}

const flags = {
  file: '0',
  'hard link': '1',
  symlink: '2',
  'char device': '3',
  'block device': '4',
  folder: '5',
  fifo: '6',
} as const;

/** A member in POSIX ustar: 512 bytes of header, the content filled up to the next 512. https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html */
export const ustar = ({ name, type, link, content, sizeBytes, mode }: Member): Buffer => {
  const header = Buffer.alloc(512);
  const body = Buffer.from(type === 'file' ? content : '');
  const octal = (value: number, at: number, length: number) =>
    header.write(
      value
        .toString(8)
        .padStart(length - 1, '0')
        .slice(-(length - 1)),
      at,
      'latin1',
    );
  header.write(name, 0, 100, 'utf8');
  octal(mode ?? (type === 'folder' ? 0o755 : 0o644), 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(sizeBytes ?? body.length, 124, 12);
  octal(1_700_000_000, 136, 12);
  header.write('        ', 148, 'latin1');
  header.write(flags[type], 156, 'latin1');
  header.write(link, 157, 100, 'utf8');
  header.write('ustar\u000000', 257, 'latin1');
  octal(1, 329, 8);
  octal(3, 337, 8);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
};

/** What follows the last member. */
export const endOfArchive = Buffer.alloc(1024);
