import { homedir } from 'node:os';
import { join } from 'node:path';

const asRoot = () => process.getuid?.() === 0;

const stateFolder = (name: string): string =>
  asRoot()
    ? `/var/lib/kernel-agent/${name}`
    : join(process.env.XDG_STATE_HOME || join(homedir(), '.local/state'), 'kernel-agent', name);

/** Where the sandbox fleet lives unless `--dir` names another folder. */
export const defaultSandboxFolder = (): string => stateFolder('sandbox');

/** Where the lab lives unless `--dir` names another folder. */
export const defaultLabFolder = (): string => stateFolder('lab');

/** Holds what is expensive to make and the same each time. It may be deleted at any time. */
export const defaultCacheFolder = (): string =>
  asRoot()
    ? '/var/cache/kernel-agent'
    : join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'kernel-agent');

/** The command line's config of an installed fleet. It takes precedence over a sandbox's. */
export const installedConfig = '/etc/kernel-agent/ka.yaml';
