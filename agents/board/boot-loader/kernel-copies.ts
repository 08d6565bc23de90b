import { cp, readdir, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { orNoRoom } from '../../../host/disk-room.ts';
import { hashFile } from '../../../host/hash-file.ts';
import type { Run } from '../../../host/run.ts';
import { StepFailed } from '../../runtime/errors.ts';
import type { ExtlinuxLabel } from './extlinux-conf.ts';

/** The file or folder that one path of a label names, and the name of its copy. */
export interface KernelCopy {
  file: string;
  copy: string;
}

/** A {@link KernelCopy} with its files: their paths below it (`''` for itself) and sizes in bytes. */
interface Listed extends KernelCopy {
  holds: readonly { below: string; sizeBytes: number }[];
}

/** Where the boot loader's `/` is: the top of the file system that its config file is on, and never above the board's root. */
export const loaderRoot = async (root: string, configFile: string): Promise<string> => {
  const { dev } = await stat(dirname(configFile));
  let folder = dirname(configFile);
  while (folder !== root && folder !== dirname(folder)) {
    if ((await stat(dirname(folder))).dev !== dev) return folder;
    folder = dirname(folder);
  }
  return folder;
};

/** Splits a label's KERNEL into its path and the configuration of a FIT image, which U-Boot accepts after a `#`. */
export const kernelOf = ({
  kernel = '',
}: Pick<ExtlinuxLabel, 'kernel'>): { path: string; config: string } => {
  const [path = '', config = ''] = kernel.split(/(?=#)/);
  return { path, config };
};

/**
 * Makes a label that boots the same as another one, from copies of all its files.
 * @param root The boot loader's `/`. @param folder Where the copies are going to be.
 * @param fileOf Maps a path in the label to a file here.
 */
export const labelOfCopies = (
  found: ExtlinuxLabel,
  {
    name,
    root,
    folder,
    fileOf,
  }: { name: string; root: string; folder: string; fileOf: (path: string) => string },
): { own: ExtlinuxLabel; copies: KernelCopy[] } => {
  const copies: KernelCopy[] = [];
  const copied = (path: string, copy: string): string => {
    copies.push({ file: fileOf(path), copy });
    return `/${relative(root, join(folder, copy))}`;
  };
  const { path, config } = kernelOf(found);
  const own: ExtlinuxLabel = {
    name,
    kernel: `${copied(path, 'image')}${config}`,
    others: found.others,
    ...(found.initrd === undefined ? {} : { initrd: copied(found.initrd, 'initramfs') }),
    // To U-Boot a lone dash means "without".
    ...(found.fdt === undefined ? {} : { fdt: found.fdt === '-' ? '-' : copied(found.fdt, 'devicetree') }),
    ...(found.fdtDir === undefined ? {} : { fdtDir: copied(found.fdtDir, 'devicetrees') }),
    ...(found.fdtOverlays === undefined
      ? {}
      : {
          fdtOverlays: found.fdtOverlays
            .split(/\s+/)
            .map((overlay, at) => copied(overlay, `overlay-${at}`))
            .join(' '),
        }),
  };
  return { own, copies };
};

/** Lists what is to be copied. @throws {Error} as the file system calls do. */
export const listCopy = async (copy: KernelCopy): Promise<Listed> => {
  const seen = await stat(copy.file);
  if (!seen.isDirectory()) return { ...copy, holds: [{ below: '', sizeBytes: seen.size }] };
  const holds = [];
  for (const below of await readdir(copy.file, { recursive: true })) {
    const inside = await stat(join(copy.file, below));
    if (inside.isFile()) holds.push({ below, sizeBytes: inside.size });
  }
  return { ...copy, holds };
};

/**
 * Copies what was listed into a folder, syncs it to the disk and compares it.
 * @throws {StepFailed} (host) if the disk is full, or a copy reads back differently.
 */
export const copyKernel = async (run: Run, listed: readonly Listed[], into: string): Promise<void> => {
  await orNoRoom(dirname(into), async () => {
    for (const { file, copy } of listed)
      await cp(file, join(into, copy), { recursive: true, dereference: true });
  });
  await run(['sync', '--file-system', '--', into]);
  for (const { file, copy, holds } of listed)
    for (const { below } of holds) {
      const [source, made] = [join(file, below), join(into, copy, below)];
      if ((await hashFile(source)).sha256 !== (await hashFile(made)).sha256)
        throw new StepFailed(
          'host',
          `${made} is not as ${source} although it was just copied: look at the disk.`,
        );
    }
};
