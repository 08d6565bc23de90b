import { ProgramFailed } from '../../../host/errors.ts';
import { createRun } from '../../../host/run.ts';
import type { BuilderConfig } from '../../../schemas/config.ts';
import { StepFailed } from '../../runtime/errors.ts';
import { bubblewrap, type Reach, type Secrets } from './bubblewrap.ts';

type Argv = readonly string[];
export interface User {
  uid: number;
  gid: number;
}

/** How a PKGBUILD's code is confined on this host. */
export interface Confinement {
  by: 'bwrap' | 'none';
  /** Why there is no confinement. */
  why?: string;
  /** The user that the code runs as. */
  uid: number;
  /** Returns the argv that runs a program as that user, and confined to its reach if there is confinement. */
  wrap: (argv: Argv, reach: Reach) => string[];
}

const nothing: Secrets = { files: [], folders: [] };
/** Root never runs a PKGBUILD, whatever its capabilities. */
const become = ({ uid, gid }: User): string[] => [
  'setpriv',
  `--reuid=${uid}`,
  `--regid=${gid}`,
  '--clear-groups',
  '--inh-caps=-all',
  '--',
];

/**
 * Returns an argv that runs confined. `user` is whom root becomes inside. bwrap comes first: only root can bind what
 * the user can't read.
 */
export const confine = (argv: Argv, reach: Reach, secrets: Secrets, user: User | undefined): string[] => [
  ...bubblewrap(reach, secrets, { privileged: user !== undefined }),
  ...(user ? become(user) : []),
  // Not through bwrap: a root without capabilities can't enter a folder that is closed to others.
  ...(reach.cwd === undefined ? [] : ['env', `--chdir=${reach.cwd}`]),
  ...argv,
];

/**
 * Tries whether bwrap can confine on this host: many containers have the program but forbid what it does.
 * @param user Whom to become, if this process is root.
 * @returns why it can't; undefined if it can.
 * @throws if it was killed or took too long, which proves nothing.
 */
export const whyUnconfined = async (user: User | undefined): Promise<string | undefined> => {
  const run = createRun(() => undefined);
  const reach: Reach = { readable: [], writable: [], network: false };
  try {
    await run(confine(['true'], reach, nothing, user), { timeoutMs: 10_000, quiet: true });
    return undefined;
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error;
    if ((error.cause as { code?: string } | undefined)?.code === 'ENOENT') return 'bwrap is not installed';
    if (error.exitCode === undefined) throw error;
    return error.stderr.trim().split('\n').at(-1) || `bwrap ended with exit code ${error.exitCode}`;
  }
};

/** The agent's own files that no PKGBUILD may see. */
const secretsOf = ({ stateFolder, keyFile, git }: BuilderConfig): Secrets => ({
  files: [keyFile, ...(git.ssh ? [git.ssh.identity] : [])],
  folders: [stateFolder],
});

const find = async (config: BuilderConfig, look: typeof whyUnconfined): Promise<Confinement> => {
  const { user, readable = [] } = config.makepkg;
  const isRoot = process.getuid?.() === 0;
  if (isRoot && !user)
    throw new StepFailed(
      'host',
      'the agent is root and makepkg refuses root: name an unprivileged user in makepkg.user of its config',
    );
  const other = isRoot ? user : undefined;
  const uid = other?.uid ?? process.getuid?.() ?? 0;
  const why = await look(other);
  if (why !== undefined)
    return { by: 'none', why, uid, wrap: (argv) => (other ? [...become(other), ...argv] : [...argv]) };
  const secrets = secretsOf(config);
  return {
    by: 'bwrap',
    uid,
    wrap: (argv, reach) =>
      confine(argv, { ...reach, readable: [...readable, ...reach.readable] }, secrets, other),
  };
};

/** A config is read only once, so its object can be the key, and the result holds for the agent's lifetime. */
const found = new WeakMap<BuilderConfig, Promise<Confinement>>();

/**
 * The confinement of this host's builds. It is determined once.
 * @throws {StepFailed} (host) if there is none and `makepkg.confinement` requires it, or if no unprivileged user is
 * named.
 */
export const confinementOf = async (config: BuilderConfig, look = whyUnconfined): Promise<Confinement> => {
  const looking = found.get(config) ?? find(config, look);
  found.set(config, looking);
  const confinement = await looking.catch((error: unknown) => {
    found.delete(config);
    throw error;
  });
  if (confinement.by === 'none' && config.makepkg.confinement === 'required')
    throw new StepFailed(
      'host',
      `makepkg.confinement of the config is "required" and a PKGBUILD can't be confined here: ${confinement.why}; ${mendConfinement}`,
    );
  return confinement;
};

export const mendConfinement = 'install bubblewrap, and let this host’s container or kernel make namespaces';

/** A warning that nothing confines a PKGBUILD on this host; undefined if something does. */
export const confinementMissing = async (config: BuilderConfig): Promise<string | undefined> => {
  try {
    const { why } = await confinementOf(config);
    return why === undefined
      ? undefined
      : `what a PKGBUILD runs is not confined on this host, and may use the network and read what its user can: ${why}; ${mendConfinement}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};
