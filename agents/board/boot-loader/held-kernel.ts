import { readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Need } from '../../../host/disk-room.ts';
import { replaceDurably } from '../../../host/durable-file.ts';
import { isThere } from '../../../host/is-there.ts';
import type { Run } from '../../../host/run.ts';
import { syncPath } from '../../../host/sync-path.ts';
import { StepFailed } from '../../runtime/errors.ts';
import { onBoard } from '../board-root.ts';
import { imageBanner, readBoot } from '../boot.ts';
import type { BootLoaderParts } from './boot-loader.ts';
import {
  type ExtlinuxConf,
  readExtlinux,
  withDefault,
  withOwnLabel,
  withoutOwnLabel,
} from './extlinux-conf.ts';
import { flush } from './flush.ts';
import { copyKernel, kernelOf, labelOfCopies, listCopy, loaderRoot } from './kernel-copies.ts';

/** The label that boots the held kernel. */
export const heldLabel = 'kernel-agent-held';

const hasHeldLabel = ({ labels }: ExtlinuxConf): boolean => labels.some(({ name }) => name === heldLabel);
/** Whether a kernel is held, or the default names the held label although that is gone. */
const namesHeld = (conf: ExtlinuxConf): boolean => hasHeldLabel(conf) || conf.boots === heldLabel;

const refuse = (why: string, cause?: unknown) =>
  new StepFailed('host', why, cause === undefined ? {} : { cause });

/** extlinux.conf, as the boot loader sees it. */
const createConfFile = (run: Run, file: string, freeze: boolean | undefined) => {
  const flushed = async () => {
    const at = dirname(file);
    if (freeze) await flush(run, at);
    else if (await isThere(at)) await run(['sync', '--file-system', '--', at]);
  };
  const readText = () =>
    readFile(file, 'utf8').catch((error: unknown) => {
      throw refuse(`${file} can't be read: see boot.loader in the config.`, error);
    });
  const read = async () => readExtlinux(await readText());
  const change = async (edit: (text: string) => string) => {
    const text = await readText();
    const changed = edit(text);
    if (changed !== text) await replaceDurably(file, changed);
    await flushed(); // even an unchanged file may not be visible to the boot loader yet
  };
  return {
    flushed,
    read,
    change,
    async setDefault(name: string) {
      await change((text) => withDefault(text, name));
      const { boots } = await read();
      if (boots !== name)
        throw refuse(`${file} boots ${boots ?? 'nothing'} by default, and should boot ${name}.`);
    },
  };
};

/** @throws {StepFailed} (host) if a kernel is held. */
const requireNotHeld = (conf: ExtlinuxConf, file: string, label: string): ExtlinuxConf => {
  if (!namesHeld(conf)) return conf;
  throw refuse(
    `${file} still has the label ${heldLabel} of an iteration that was never ended: what ${label} boots may be half installed, so put the backup or a whole package back first; then let DEFAULT name ${label}, and remove the other label.`,
  );
};

/** Where the held kernel's parts are. */
interface HeldPlaces {
  /** extlinux.conf. */
  file: string;
  /** The label that the packages are installed for. */
  label: string;
  installedImage: string;
  /** Where the copies are. */
  folder: string;
}

/** Returns what is to be held, and the label that boots it. @throws {StepFailed} (host) if it can't be held. */
const planHeld = async (
  host: BootLoaderParts['host'],
  { file, label, installedImage, folder }: HeldPlaces,
  conf: ExtlinuxConf,
) => {
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
  const kernel = fileOf(kernelOf(found).path);
  if (kernel !== installedImage)
    throw refuse(`${label} in ${file} boots ${kernel}, and boot.image in the config is ${host.boot.image}.`);
  const running = (await readBoot(host)).procVersion;
  const banner = await imageBanner(kernel);
  if (!running.startsWith(banner))
    throw refuse(
      `${host.host} runs ${running}, and ${kernel} is ${banner}: only a kernel that runs can be held; reboot first.`,
    );
  const { own, copies } = labelOfCopies(found, { name: heldLabel, root, folder, fileOf });
  const listed = await Promise.all(
    copies.map((each) =>
      listCopy(each).catch((error: unknown) => {
        throw refuse(`${label} in ${file} names ${each.file}, which can't be read.`, error);
      }),
    ),
  );
  return { own, listed };
};

/** The copies of what is held. Their folder exists only once they are complete. */
const createCopies = (run: Run, folder: string) => {
  const part = `${folder}.part`;
  const remove = async () => {
    for (const each of [part, folder]) await rm(each, { recursive: true, force: true });
  };
  return {
    remove,
    areThere: async () => (await isThere(folder)) || (await isThere(part)),
    /** The copies are on the disk when this returns. */
    async make(listed: Parameters<typeof copyKernel>[1]) {
      await remove();
      await copyKernel(run, listed, part).catch(async (error: unknown) => {
        await remove(); // a rollback may need their room
        throw error;
      });
      await rename(part, folder);
      await syncPath(dirname(folder));
    },
  };
};

/**
 * The part of a trial that extlinux.conf plays: it has the label that the packages are installed for, and a label for
 * the held copy of what that booted before. The copies are complete and on the disk before the file names them, and are
 * removed only when it no longer does.
 */
export const createHeldKernel = (
  { host, run, note }: BootLoaderParts,
  { configFile, label, freeze }: { configFile: string; label: string; freeze?: boolean | undefined },
) => {
  const file = onBoard(host.root, configFile);
  const installedImage = onBoard(host.root, host.boot.image);
  const folder = join(dirname(installedImage), 'kernel-agent');
  const copies = createCopies(run, folder);
  const heldImage = join(folder, 'image');
  const { flushed, read, change, setDefault } = createConfFile(run, file, freeze);

  const rewritten = () =>
    refuse(
      `${file} does not boot ${heldLabel} any more: something rewrote it since the install began (a pacman hook?); keep that from it.`,
    );
  /** Reads the config file, in which nothing may be held. */
  const readSettled = async () => requireNotHeld(await read(), file, label);
  const plan = async () => planHeld(host, { file, label, installedImage, folder }, await readSettled());

  return {
    rewritten,
    flushed,
    requireSettled: async (): Promise<void> => void (await readSettled()),
    /**
     * @throws {StepFailed} (host) if no label holds a kernel, or the held kernel can't be told from the installed one.
     */
    requireHeld: async (): Promise<void> => {
      if (!hasHeldLabel(await read())) throw rewritten();
      const [held, installed] = await Promise.all([heldImage, installedImage].map(imageBanner));
      if (held === installed)
        throw refuse(
          `the installed kernel and the one that is held are both ${held}: nobody could tell which of the two boots; give the build its own version or timestamp.`,
        );
    },
    /** The disk room that the copies take. @throws {StepFailed} (host) if the installed kernel can't be held. */
    needs: async (): Promise<Need[]> =>
      (await plan()).listed.flatMap(({ holds }) =>
        holds.map(({ sizeBytes }) => ({ folder, bytes: sizeBytes })),
      ),
    hold: async (): Promise<void> => {
      const now = await read();
      if (now.boots === heldLabel) return flushed(); // a cut may have come before the flush
      // The copies are complete as long as a label names them.
      if (hasHeldLabel(now) && (await imageBanner(heldImage).catch(() => undefined)) !== undefined)
        return setDefault(heldLabel);
      const { own, listed } = await plan();
      await copies.make(listed);
      await flushed(); // the copies, before the file names them
      await change((text) => withOwnLabel(text, own));
      note(`${own.kernel} holds the kernel that runs, and boots by default until another is confirmed`);
    },
    isHeld: async () => (await read()).boots === heldLabel,
    hasHeld: async () => hasHeldLabel(await read()),
    bootByDefault: (which: 'installed' | 'held') => setDefault(which === 'held' ? heldLabel : label),
    boots: async (which: 'installed' | 'held') =>
      (await read()).boots === (which === 'held' ? heldLabel : label),
    settle: async (): Promise<void> => {
      await change((text) =>
        namesHeld(readExtlinux(text)) ? withDefault(withoutOwnLabel(text), label) : text,
      );
      await readSettled();
      await copies.remove();
    },
    isSettled: async () => !namesHeld(await read()) && !(await copies.areThere()),
  };
};
