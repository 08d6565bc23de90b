import { randomUUID } from 'node:crypto';
import { appendFile, copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Run } from '../../host/run.ts';
import { trialVariable } from '../local-fleet/board/boot-files.ts';
import type { SandboxPlaces } from '../places/sandbox-places.ts';
import { environmentCommand } from './board-root.ts';

/**
 * The image that extlinux.conf names for an entry, or for its default:
 * https://wiki.syslinux.org/wiki/index.php?title=EXTLINUX
 * @param override U-Boot's pxe_label_override; ignored if there is no such entry.
 */
export const bootedKernel = (extlinux: string, override?: string): string | undefined => {
  let chosen: string | undefined;
  let label: string | undefined;
  const kernels = new Map<string, string>();
  for (const line of extlinux.split('\n')) {
    const [, word = '', rest = ''] = /^(\w+)\s(.*)$/.exec(line.trim()) ?? [];
    const value = rest.trim();
    if (/^default$/i.test(word)) chosen = value;
    if (/^label$/i.test(word)) label = value;
    if (/^(kernel|linux)$/i.test(word) && label !== undefined) kernels.set(label, value);
  }
  const overridden = kernels.get(override ?? '');
  if (overridden !== undefined) return overridden;
  return kernels.get(chosen ?? '') ?? (chosen === undefined ? kernels.values().next().value : undefined);
};

/** The banner in a kernel's image: the first line that it prints, and the content of /proc/version. */
const bannerOf = (image: Buffer): { banner: string; release: string } | undefined => {
  const text = image.toString('latin1');
  const found = /Linux version (\S+) \([^\0\n]*/.exec(text);
  return found?.[1] === undefined ? undefined : { banner: found[0], release: found[1] };
};

const replace = async (file: string, text: string): Promise<void> => {
  await writeFile(`${file}.part`, text);
  await rename(`${file}.part`, file);
};

export type BootResult = { up: true; release: string; bootId: string } | { up: false; why: string };

/** Does what the bootcmd in the environment does: takes the label from the variable, and clears it before the boot. */
const takeTrial = async (run: Run, places: SandboxPlaces): Promise<string | undefined> => {
  const print = environmentCommand(places, 'fw_printenv');
  // With a damaged environment, U-Boot uses its built-in bootcmd, which knows no trial.
  const said = await run(print, { quiet: true }).catch(() => undefined);
  const label = new RegExp(`^${trialVariable}=(.+)$`, 'm').exec(said?.stdout ?? '')?.[1];
  if (label !== undefined) await run([...environmentCommand(places, 'fw_setenv'), trialVariable]);
  return label;
};

/**
 * Boots the sandbox board as U-Boot would: finds the kernel that its environment or its boot folder names, copies it as
 * the running image, and writes its release and a new boot id to the board's /proc.
 * @returns not up, if a real board would stop in its boot loader too.
 */
export const boot = async (run: Run, places: SandboxPlaces): Promise<BootResult> => {
  const { root, board } = places;
  for (const folder of [dirname(board.runningImage), dirname(board.bootIdFile)])
    await mkdir(folder, { recursive: true });
  await mkdir(dirname(board.rebootFile), { recursive: true });
  await rm(board.rebootFile, { force: true });
  const extlinux = await readFile(board.extlinux, 'utf8').catch(() => undefined);
  if (extlinux === undefined) return { up: false, why: `there is no ${board.extlinux}` };
  const kernel = bootedKernel(extlinux, await takeTrial(run, places));
  if (kernel === undefined)
    return { up: false, why: `${board.extlinux} names no kernel for its default entry` };
  const installed = join(root, kernel);
  const image = await readFile(installed).catch(() => undefined);
  if (image === undefined) return { up: false, why: `${board.extlinux} names ${kernel}, which is not there` };
  const found = bannerOf(image);
  if (found === undefined) return { up: false, why: `${kernel} is no kernel: it holds no "Linux version"` };
  // The copy is renamed into place, so that a program that still runs from the old image does not prevent it.
  await copyFile(installed, `${board.runningImage}.part`);
  await rename(`${board.runningImage}.part`, board.runningImage);
  const bootId = randomUUID();
  await replace(board.versionFile, `${found.banner}\n`);
  await replace(board.releaseFile, `${found.release}\n`);
  await replace(board.bootIdFile, `${bootId}\n`);
  await appendFile(board.bootsFile, `${bootId} ${found.banner}\n`);
  return { up: true, release: found.release, bootId };
};
