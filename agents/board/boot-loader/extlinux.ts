import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { readDurable, writeDurably } from '../../../host/durable-file.ts';
import { syncPath } from '../../../host/sync-path.ts';
import type { ExtlinuxConfig } from '../../../schemas/config.ts';
import type { BootLoader, BootLoaderParts } from './boot-loader.ts';
import { createHeldKernel } from './held-kernel.ts';

/** The boot in which the next boot was made a trial. */
const Trial = z.object({ bootId: z.string() });

/**
 * extlinux.conf alone, which can't set only the next boot. DEFAULT names the new kernel for the trial, and the board's
 * deadline sets it back as soon as it starts in that boot. A kernel that does not get that far boots again and again.
 */
export const createExtlinux = (parts: BootLoaderParts, config: ExtlinuxConfig): BootLoader => {
  const kernel = createHeldKernel(parts, config);
  const trialFile = join(parts.host.stateFolder, 'trial.json');
  const read = () => readDurable(trialFile, Trial);
  const forget = async () => {
    await rm(trialFile, { force: true });
    await syncPath(dirname(trialFile));
  };
  const cancelTry = async () => {
    if (!(await read())) return;
    if (await kernel.hasHeld()) await kernel.bootByDefault('held');
    await forget();
  };
  return {
    triesOnce: true,
    configFile: config.configFile,
    requireReady: kernel.needs,
    requireSettled: kernel.requireSettled,
    hold: kernel.hold,
    isHeld: kernel.isHeld,
    // DEFAULT already names the new kernel if the trial is set once more in the same boot, so it is not checked.
    requireHeld: kernel.requireHeld,
    tryOnce: async (bootId) => {
      // The file is written first: after a cut here the held kernel boots once more, and DEFAULT is set to what it
      // already is.
      await mkdir(dirname(trialFile), { recursive: true });
      await writeDurably(trialFile, { bootId });
      await kernel.flushed(); // the files that extlinux.conf is going to name
      await kernel.bootByDefault('installed');
    },
    isTrying: async (bootId) => (await read())?.bootId === bootId && (await kernel.boots('installed')),
    cancelTry,
    booted: async (bootId) => {
      const isOver = async () => ((await read())?.bootId ?? bootId) !== bootId;
      if (!(await isOver())) return;
      if (await kernel.hasHeld()) await kernel.bootByDefault('held');
      // The agent may have set the next trial in the meantime.
      if (await isOver()) await forget();
      else if (await read()) await kernel.bootByDefault('installed');
    },
    settle: async () => {
      await forget();
      await kernel.settle();
    },
    isSettled: async () => !(await read()) && (await kernel.isSettled()),
    flushed: kernel.flushed,
  };
};
