import { readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Need } from '../../../host/disk-room.ts';
import { replaceDurably } from '../../../host/durable-file.ts';
import { isThere } from '../../../host/is-there.ts';
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

/** The label that boots what is held. */
export const heldLabel = 'kernel-agent-held';

const hasHeldLabel = ({ labels }: ExtlinuxConf): boolean => labels.some(({ name }) => name === heldLabel);
/** Whether a kernel is held, or a label is to boot that is not there any more. */
const namesHeld = (conf: ExtlinuxConf): boolean => hasHeldLabel(conf) || conf.boots === heldLabel;

/**
 * The part that extlinux.conf has in a trial: the label that the packages are installed for, and the held copy of what it
 * booted before. The copies are whole and on the disk before the file names them, and go only when it doesn't any more.
 */
export const createHeldKernel = (
  { host, run, note }: BootLoaderParts,
  { configFile, label, freeze }: { configFile: string; label: string; freeze?: boolean | undefined },
) => {
  const file = onBoard(host.root, configFile);
  const installedImage = onBoard(host.root, host.boot.image);
  const folder = join(dirname(installedImage), 'kernel-agent');
  const part = `${folder}.part`;
  const heldImage = join(folder, 'image');

  const refuse = (why: string, cause?: unknown) =>
    new StepFailed('host', why, cause === undefined ? {} : { cause });
  const rewritten = () =>
    refuse(
      `${file} does not boot ${heldLabel} any more: something rewrote it since the install began (a pacman hook?); keep that from it.`,
    );

  const flushed = async () => {
    const at = dirname(file);
    if (freeze) await flush(run, at);
    else if (await isThere(at)) await run(['sync', '--file-system', '--', at]);
  };
  const read = () =>
    readFile(file, 'utf8').catch((error: unknown) => {
      throw refuse(`${file} can't be read: see boot.loader in the config.`, error);
    });
  const write = async (before: string, text: string) => {
    if (text !== before) await replaceDurably(file, text);
    await flushed(); // one that is as it should be may not be so where the boot loader looks
  };
  const readConf = async () => readExtlinux(await read());
  const setDefault = async (name: string) => {
    const text = await read();
    await write(text, withDefault(text, name));
    const { boots } = await readConf();
    if (boots !== name)
      throw refuse(`${file} boots ${boots ?? 'nothing'} by default, and should boot ${name}.`);
  };
  const removeCopies = async () => {
    for (const each of [part, folder]) await rm(each, { recursive: true, force: true });
  };

  /** The config file, in which nothing may be held. */
  const readSettled = async () => {
    const conf = await readConf();
    if (namesHeld(conf))
      throw refuse(
        `${file} still has the label ${heldLabel} of an iteration that was never ended: what ${label} boots may be half installed, so put the backup or a whole package back first; then let DEFAULT name ${label}, and remove the other label.`,
      );
    return conf;
  };

  /** What is to be held, and the label that boots it. */
  const plan = async () => {
    const conf = await readSettled();
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
      throw refuse(
        `${label} in ${file} boots ${kernel}, and boot.image in the config is ${host.boot.image}.`,
      );
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

  return {
    rewritten,
    flushed,
    requireSettled: async (): Promise<void> => void (await readSettled()),
    /** @throws {StepFailed} (host) if no label holds a kernel, or nobody could tell it from the installed one. */
    requireHeld: async (): Promise<void> => {
      if (!hasHeldLabel(await readConf())) throw rewritten();
      const [held, installed] = await Promise.all([heldImage, installedImage].map(imageBanner));
      if (held === installed)
        throw refuse(
          `the installed kernel and the one that is held are both ${held}: nobody could tell which of the two boots; give the build its own version or timestamp.`,
        );
    },
    /** The room that the copies take. @throws {StepFailed} (host) if what is installed can't be held. */
    needs: async (): Promise<Need[]> => {
      const { listed } = await plan();
      return listed.flatMap(({ holds }) => holds.map(({ sizeBytes }) => ({ folder, bytes: sizeBytes })));
    },
    hold: async (): Promise<void> => {
      const now = await readConf();
      if (now.boots === heldLabel) return flushed(); // a cut may have come before it was
      // Its copies are whole as long as a label names them.
      if (hasHeldLabel(now) && (await imageBanner(heldImage).catch(() => undefined)) !== undefined)
        return setDefault(heldLabel);
      const { own, listed } = await plan();
      await removeCopies();
      await copyKernel(run, listed, part).catch(async (error: unknown) => {
        await removeCopies(); // their room is what a rollback may lack
        throw error;
      });
      await rename(part, folder);
      await syncPath(dirname(folder));
      await flushed(); // before the file names it
      const text = await read();
      await write(text, withOwnLabel(text, own));
      note(`${own.kernel} holds the kernel that runs, and boots by default until another is confirmed`);
    },
    isHeld: async () => (await readConf()).boots === heldLabel,
    hasHeld: async () => hasHeldLabel(await readConf()),
    bootByDefault: (which: 'installed' | 'held') => setDefault(which === 'held' ? heldLabel : label),
    boots: async (which: 'installed' | 'held') =>
      (await readConf()).boots === (which === 'held' ? heldLabel : label),
    settle: async (): Promise<void> => {
      const text = await read();
      await write(text, namesHeld(readExtlinux(text)) ? withDefault(withoutOwnLabel(text), label) : text);
      await readSettled();
      await removeCopies();
    },
    isSettled: async () => !namesHeld(await readConf()) && !(await isThere(folder)) && !(await isThere(part)),
  };
};
