import { open, rename, rm } from 'node:fs/promises';
import type { Run } from '../../host/run.ts';
import { syncPath } from '../../host/sync-path.ts';

const MiB = 1024 * 1024;
/** The margin at each end: the first for the partition table and its alignment, the last for the table's copy. */
const marginBytes = MiB;

/**
 * Makes a sparse disk image with one ext4 partition that holds a copy of a folder, without mounting anything. U-Boot
 * looks for extlinux.conf on the partition that is marked as bootable. The image is made beside its place and renamed.
 * @param sizeBytes a multiple of 1 MiB.
 */
export const makeDiskImage = async (
  run: Run,
  { folder, file, sizeBytes }: { folder: string; file: string; sizeBytes: number },
): Promise<void> => {
  const part = `${file}.part`;
  await rm(part, { force: true });
  const image = await open(part, 'w');
  await image.truncate(sizeBytes);
  await image.close();
  const sectors = (bytes: number) => String(bytes / 512);
  const partition = sizeBytes - 2 * marginBytes;
  await run(['sfdisk', '--quiet', part], {
    input: `label: gpt\nstart=${sectors(marginBytes)}, size=${sectors(partition)}, type=linux, attrs="LegacyBIOSBootable"\n`,
  });
  await run([
    'mkfs.ext4',
    ...[
      '-q',
      '-F',
      '-L',
      'fresnel',
      '-E',
      `offset=${marginBytes}`,
      '-d',
      folder,
      part,
      `${partition / 1024}k`,
    ],
  ]);
  await syncPath(part);
  await rename(part, file);
};
