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

/** How a PKGBUILD's code is kept from everything else on this host. */
export interface Confinement {
  by: 'bwrap' | 'none';
  /** Why there is none. */
  why?: string;
  /** The user that the code runs as. */
  uid: number;
  /** The argv that runs a program as that user, and confined to its reach, if there is confinement. */
  wrap: (argv: Argv, reach: Reach) => string[];
}

const nothing: Secrets = { files: [], folders: [] };
/** Whatever its capabilities, root is never what runs a PKGBUILD. */
const become = ({ uid, gid }: User): string[] => [
  'setpriv',
  `--reuid=${uid}`,
  `--regid=${gid}`,
  '--clear-groups',
  '--inh-caps=-all',
  '--',
];

/** An argv that runs confined; `user` is whom root becomes inside. bwrap goes first: only root binds what is closed to a user. */
export const confine = (argv: Argv, reach: Reach, secrets: Secrets, user: User | undefined): string[] => [
  ...bubblewrap(reach, secrets, { privileged: user !== undefined }),
  ...(user ? become(user) : []),
  // Not by bwrap: a folder that is closed to others is closed to a root that may do nothing.
  ...(reach.cwd === undefined ? [] : ['env', `--chdir=${reach.cwd}`]),
  ...argv,
];

/**
 * Whether bwrap confines on this host, found out by doing it: many containers have the program and forbid what it does.
 * @param user Whom to become, where this is root.
 * @returns why not; undefined if it does.
 * @throws if it was killed or took too long: then nobody knows.
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

/** What of this agent's own no PKGBUILD may see. */
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

/** A config is read once, so its object stands for it, and for this host as long as the agent lives. */
const found = new WeakMap<BuilderConfig, Promise<Confinement>>();

/**
 * The confinement of this host's builds. It is looked for once.
 * @throws {StepFailed} (host) if there is none and `makepkg.confinement` requires it, or if nobody unprivileged is named.
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

/** What a builder has to say of its host: that nothing keeps a PKGBUILD from it. Undefined where something does. */
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
