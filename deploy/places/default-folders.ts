import { homedir } from 'node:os';
import { join } from 'node:path';

const asRoot = () => process.getuid?.() === 0;

const stateFolder = (name: string): string =>
  asRoot()
    ? `/var/lib/kernel-agent/${name}`
    : join(process.env.XDG_STATE_HOME || join(homedir(), '.local/state'), 'kernel-agent', name);

/** The folder of the sandbox fleet unless `--dir` names another one. */
export const defaultSandboxFolder = (): string => stateFolder('sandbox');

/** The folder of the lab unless `--dir` names another one. */
export const defaultLabFolder = (): string => stateFolder('lab');

/** Holds results that are expensive to make and always the same. It may be deleted at any time. */
export const defaultCacheFolder = (): string =>
  asRoot()
    ? '/var/cache/kernel-agent'
    : join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'kernel-agent');

/** The command line's config of an installed fleet. It takes precedence over a sandbox's. */
export const installedConfig = '/etc/kernel-agent/ka.yaml';

/** The config of the keeper on the machine of a fleet's log. */
export const installedKeeperConfig = '/etc/kernel-agent/keeper.yaml';
