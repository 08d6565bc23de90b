import { cp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { type Need, orNoRoom } from '../../runtime/disk-room.ts';
import { StepFailed } from '../../runtime/errors.ts';
import { hashFile } from '../../runtime/hash-file.ts';
import { syncPath } from '../../runtime/sync-path.ts';
import { onBoard } from '../board-root.ts';
import { imageBanner, readBoot } from '../boot.ts';
import { replaceDurably } from '../deadline/durable-file.ts';
import type { BootLoaderParts } from './boot-loader.ts';
import {
  type ExtlinuxLabel,
  readExtlinux,
  withDefault,
  withOwnLabel,
  withoutOwnLabel,
} from './extlinux-conf.ts';
import { flush } from './flush.ts';

/** The label that boots what is held. */
export const heldLabel = 'kernel-agent-held';

/** What one path of a label stands for: where it is now, and what its copy is called. */
interface Copied {
  file: string;
  copy: string;
}

/** Where the boot loader's `/` is: the top of the file system that its config file is on, and never above the board's root. */
const loaderRoot = async (root: string, configFile: string): Promise<string> => {
  const { dev } = await stat(dirname(configFile));
  let folder = dirname(configFile);
  while (folder !== root && folder !== dirname(folder)) {
    if ((await stat(dirname(folder))).dev !== dev) return folder;
    folder = dirname(folder);
  }
  return folder;
};

/** The files at or below a path, with their sizes in bytes. */
const filesAt = async (path: string): Promise<{ below: string; sizeBytes: number }[]> => {
  const seen = await stat(path);
  if (!seen.isDirectory()) return [{ below: '', sizeBytes: seen.size }];
  const below = await readdir(path, { recursive: true });
  const found = await Promise.all(below.map(async (name) => ({ name, ...(await sizeOf(join(path, name))) })));
  return found.flatMap(({ name, isFile, sizeBytes }) => (isFile ? [{ below: name, sizeBytes }] : []));
};
const sizeOf = async (file: string) => {
  const seen = await stat(file);
  return { isFile: seen.isFile(), sizeBytes: seen.size };
};

/**
 * The part that extlinux.conf has in a trial: the label that the packages are installed for, and the held copy of what it
 * booted before. The copies are whole and on the disk before the file names them, and go only when it doesn't any more.
 */
export const createHeldKernel = (
  { host, run, note }: BootLoaderParts,
  { configFile, label, freeze }: { configFile: string; label: string; freeze?: boolean | undefined },
) => {
  const file = onBoard(host.root, configFile);
  const flushed = async () => {
    if (freeze) await flush(run, dirname(file));
  };
  const refuse = (why: string, cause?: unknown) =>
    new StepFailed('host', why, cause === undefined ? {} : { cause });
  const read = () =>
    readFile(file, 'utf8').catch((error: unknown) => {
      throw refuse(`${file} can't be read: see boot.loader in the config.`, error);
    });
  const write = async (before: string, text: string) => {
    if (text !== before) await replaceDurably(file, text);
    await flushed();
  };

  const requireSettled = async () => {
    const conf = readExtlinux(await read());
    if (conf.labels.some(({ name }) => name === heldLabel) || conf.boots === heldLabel)
      throw refuse(
        `${file} still has the label ${heldLabel} of an iteration that was never ended: what ${label} boots may be half installed, so put the backup or a whole package back first; then let DEFAULT name ${label}, and remove the other label.`,
      );
  };

  /** What is to be held, by what boots it. */
  const plan = async () => {
    await requireSettled();
    const conf = readExtlinux(await read());
    if (conf.includes)
      throw refuse(`${file} includes other files, which may name another default: put all into this one.`);
    const found = conf.labels.find(({ name }) => name === label);
    if (found?.kernel === undefined)
      throw refuse(`${file} has no label ${label} with a KERNEL: see boot.loader.label in the config.`);
    const other = [...conf.defaults, conf.boots].find((name) => name !== label);
    if (other !== undefined)
      throw refuse(`${file} boots ${other} by default and packages are installed for ${label}: correct one.`);
    const root = await loaderRoot(host.root, file);
    const fileOf = (path: string) => (path.startsWith('/') ? join(root, path) : join(dirname(file), path));
    const [kernelPath = '', fitConfig] = found.kernel.split(/(?=#)/);
    const kernel = fileOf(kernelPath);
    if (kernel !== onBoard(host.root, host.boot.image))
      throw refuse(
        `${label} in ${file} boots ${kernel}, and boot.image in the config is ${host.boot.image}.`,
      );
    const running = (await readBoot(host)).procVersion;
    const banner = await imageBanner(kernel);
    if (!running.startsWith(banner))
      throw refuse(
        `${host.host} runs ${running}, and ${kernel} is ${banner}: only a kernel that runs can be held; reboot first.`,
      );

    const folder = join(dirname(kernel), 'kernel-agent');
    const copies: Copied[] = [];
    const held = (path: string, copy: string): string => {
      copies.push({ file: fileOf(path), copy });
      return `/${relative(root, join(folder, copy))}`;
    };
    const own: ExtlinuxLabel = {
      name: heldLabel,
      kernel: `${held(kernelPath, 'image')}${fitConfig ?? ''}`,
      others: found.others,
      ...(found.initrd === undefined ? {} : { initrd: held(found.initrd, 'initramfs') }),
      // U-Boot takes a lone dash for "without".
      ...(found.fdt === undefined ? {} : { fdt: found.fdt === '-' ? '-' : held(found.fdt, 'devicetree') }),
      ...(found.fdtDir === undefined ? {} : { fdtDir: held(found.fdtDir, 'devicetrees') }),
      ...(found.fdtOverlays === undefined
        ? {}
        : {
            fdtOverlays: found.fdtOverlays
              .split(/\s+/)
              .map((path, at) => held(path, `overlay-${at}`))
              .join(' '),
          }),
    };
    const files = await Promise.all(
      copies.map(async (each) => ({
        ...each,
        holds: await filesAt(each.file).catch((error: unknown) => {
          throw refuse(`${label} in ${file} names ${each.file}, which can't be read.`, error);
        }),
      })),
    );
    return { folder, own, files };
  };

  /** Copies what is to be held, and reads it back from the disk. */
  const copy = async (files: Awaited<ReturnType<typeof plan>>['files'], part: string) => {
    await orNoRoom(dirname(part), async () => {
      for (const each of files)
        await cp(each.file, join(part, each.copy), { recursive: true, dereference: true });
    });
    await run(['sync', '--file-system', '--', part]);
    for (const { file: from, copy: to, holds } of files)
      for (const { below } of holds) {
        const [source, made] = [from, join(part, to)].map((path) =>
          below === '' ? path : join(path, below),
        );
        if ((await hashFile(source ?? '')).sha256 !== (await hashFile(made ?? '')).sha256)
          throw refuse(`${made} is not as ${source} although it was just copied: look at the disk.`);
      }
  };

  const folderNow = () => join(dirname(onBoard(host.root, host.boot.image)), 'kernel-agent');
  const heldImage = () => join(folderNow(), 'image');
  const boots = async () => readExtlinux(await read()).boots;
  const setDefault = async (name: string) => {
    const text = await read();
    await write(text, withDefault(text, name));
    const found = await boots();
    if (found !== name)
      throw refuse(`${file} boots ${found ?? 'nothing'} by default, and should boot ${name}.`);
  };
  const hasHeld = async () => readExtlinux(await read()).labels.some(({ name }) => name === heldLabel);
  const rewritten = () =>
    refuse(
      `${file} does not boot ${heldLabel} any more: something rewrote it since the install began (a pacman hook?); keep that from it.`,
    );

  return {
    rewritten,
    /** @throws {StepFailed} (host) if no label holds a kernel, or nobody could tell it from the installed one. */
    requireHeld: async (): Promise<void> => {
      if (!(await hasHeld())) throw rewritten();
      const [held, installed] = await Promise.all(
        [heldImage(), onBoard(host.root, host.boot.image)].map(imageBanner),
      );
      if (held === installed)
        throw refuse(
          `the installed kernel and the one that is held are both ${held}: nobody could tell which of the two boots; give the build its own version or timestamp.`,
        );
    },
    requireSettled,
    flushed,
    /** The room that the copies take. @throws {StepFailed} (host) if what is installed can't be held. */
    needs: async (): Promise<Need[]> => {
      const { folder, files } = await plan();
      return files.flatMap(({ holds }) => holds.map(({ sizeBytes }) => ({ folder, bytes: sizeBytes })));
    },
    hold: async (): Promise<void> => {
      if ((await boots()) === heldLabel) return flushed(); // a cut may have come before it was
      // Its copies are whole as long as a label names them.
      if ((await hasHeld()) && (await imageBanner(heldImage()).catch(() => undefined)) !== undefined)
        return setDefault(heldLabel);
      const { folder, own, files } = await plan();
      const part = `${folder}.part`;
      for (const each of [part, folder]) await rm(each, { recursive: true, force: true });
      await copy(files, part).catch(async (error: unknown) => {
        await rm(part, { recursive: true, force: true }); // its room is what a rollback may lack
        throw error;
      });
      await rename(part, folder);
      await syncPath(dirname(folder));
      await flushed(); // before the file names it
      const text = await read();
      await write(text, withOwnLabel(text, own));
      note(`${own.kernel} holds the kernel that runs, and boots by default until another is confirmed`);
    },
    isHeld: async () => (await boots()) === heldLabel,
    hasHeld,
    bootByDefault: (which: 'installed' | 'held') => setDefault(which === 'held' ? heldLabel : label),
    boots: async (which: 'installed' | 'held') => (await boots()) === (which === 'held' ? heldLabel : label),
    settle: async (): Promise<void> => {
      const text = await read();
      if (readExtlinux(text).boots === heldLabel || (await hasHeld()))
        await write(text, withDefault(withoutOwnLabel(text), label));
      await requireSettled();
      await flushed(); // a rollback has put the file back itself, and it still may name the copies where U-Boot looks
      for (const each of [`${folderNow()}.part`, folderNow()])
        await rm(each, { recursive: true, force: true });
    },
    isSettled: async () => {
      const conf = readExtlinux(await read());
      const folders = [`${folderNow()}.part`, folderNow()];
      const left = await Promise.all(
        folders.map((each) =>
          stat(each).then(
            () => true,
            () => false,
          ),
        ),
      );
      return (
        !conf.labels.some(({ name }) => name === heldLabel) &&
        conf.boots !== heldLabel &&
        !left.includes(true)
      );
    },
  };
};
