import type { BootLoader } from './boot-loader.ts';

/** A boot loader that always boots the installed kernel. Only the board's deadline can take a kernel away. */
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
