import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { readDurable, writeDurably } from '../../../host/durable-file.ts';
import { syncPath } from '../../../host/sync-path.ts';
import type { ExtlinuxConfig } from '../../../schemas/config.ts';
import type { BootLoader, BootLoaderParts } from './boot-loader.ts';
import { createHeldKernel } from './held-kernel.ts';

/** The boot in which the next one was made a trial. */
const Trial = z.object({ bootId: z.string() });

/**
 * extlinux.conf alone, which knows of no next boot: DEFAULT names the new kernel for the trial, and the board's deadline sets
 * it back as soon as it starts in that boot. A kernel that does not come so far boots again and again.
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
    // DEFAULT names the new one already where the trial is set once more in the same boot.
    requireHeld: kernel.requireHeld,
    tryOnce: async (bootId) => {
      // First: a cut after this one boots the held kernel once more, and sets DEFAULT to what it is.
      await mkdir(dirname(trialFile), { recursive: true });
      await writeDurably(trialFile, { bootId });
      await kernel.flushed(); // what the file is going to name
      await kernel.bootByDefault('installed');
    },
    isTrying: async (bootId) => (await read())?.bootId === bootId && (await kernel.boots('installed')),
    cancelTry,
    booted: async (bootId) => {
      const isOver = async () => ((await read())?.bootId ?? bootId) !== bootId;
      if (!(await isOver())) return;
      if (await kernel.hasHeld()) await kernel.bootByDefault('held');
      // The agent may have set the next one meanwhile.
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
