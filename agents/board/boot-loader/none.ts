import type { BootLoader } from './boot-loader.ts';

/** A boot loader that boots what is installed and can't be told otherwise. The board's deadline alone takes a kernel away. */
export const withoutTrial: BootLoader = {
  triesOnce: false,
  configFile: undefined,
  requireReady: async () => [],
  requireSettled: async () => undefined,
  hold: async () => undefined,
  isHeld: async () => true,
  requireHeld: async () => undefined,
  tryOnce: async () => undefined,
  isTrying: async () => true,
  cancelTry: async () => undefined,
  booted: async () => undefined,
  settle: async () => undefined,
  isSettled: async () => true,
  flushed: async () => undefined,
};
