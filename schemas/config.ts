import { z } from 'zod';
import { BoardKeeps, BuilderKeeps, PublisherKeeps } from './limits.ts';
import { Fingerprint, FleetName, HostName, PackageName, PersonName, RepositoryName } from './names.ts';

const Path = z.string().regex(/^\//, { error: 'must be an absolute path' });
/** A program and its arguments. It is run as it stands, never through a shell. */
const Argv = z.array(z.string().min(1)).min(1);

const Nats = z.strictObject({
  /** Off loopback, and after `tls://`, the connection is encrypted and the server's certificate verified. */
  servers: z.array(z.string().min(1)).min(1),
  /** The certificates of the authorities that may vouch for the server, PEM; without it, those that Node knows. */
  caFile: Path.optional(),
  /** The network to the server is inside one machine, as a virtual board's is: then TLS is not required. */
  withinOneMachine: z.literal(true).optional(),
});

const SshPublicKey = z.string().regex(/^ssh-ed25519 [A-Za-z0-9+/=]+$/, {
  error: 'must be "ssh-ed25519 AAAA…", type and key without the comment',
});

/** A host that this one reaches over SSH. Its host key is pinned; nothing else is accepted. */
const Peer = z.strictObject({
  address: z.string().min(1),
  port: z.int().min(1).max(65535).default(22),
  user: z.string().min(1),
  /** The private key to log in with. */
  identity: Path,
  /** The peer's public host key, as in `ssh_host_ed25519_key.pub`: type and base64. */
  hostKey: SshPublicKey,
  /** The folder on the peer that transfers are relative to. */
  folder: Path,
});
export type Peer = z.infer<typeof Peer>;

const common = {
  fleet: FleetName,
  host: HostName,
  nats: Nats,
  /** This host's key, an NKey seed. The host logs in with it and signs its events with it. */
  keyFile: Path,
  /** Whom this host trusts, and with which keys: made of the fleet's file, see `ka fleet trust`. */
  trustFile: Path,
  /** The agent's own files: the journal, and one work folder per attempt. */
  stateFolder: Path,
  /** Where boot id and release are read. */
  bootIdFile: Path.default('/proc/sys/kernel/random/boot_id'),
  releaseFile: Path.default('/proc/sys/kernel/osrelease'),
  procVersionFile: Path.default('/proc/version'),
};

export const BuilderConfig = z.strictObject({
  ...common,
  role: z.literal('builder'),
  /** The git repositories that plans name, by URL. */
  repositories: z.record(RepositoryName, z.string().min(1)),
  /** The repositories that `record` may write to, by name: none with packages or patches in it. */
  recordsIn: z.array(RepositoryName).default([]),
  git: z.strictObject({
    author: z.strictObject({ name: z.string().min(1), email: z.string().min(1) }),
    /** For SSH URLs: the key to log in with, and the file of the host keys to accept. */
    ssh: z.strictObject({ identity: Path, knownHosts: Path }).optional(),
  }),
  makepkg: z.strictObject({
    /** The unprivileged user that runs makepkg when the agent is root. */
    user: z.strictObject({ uid: z.int().min(1), gid: z.int().min(1) }).optional(),
    carch: z.enum(['aarch64', 'x86_64', 'armv7h', 'riscv64']),
    /** SRCDEST: the sources that are not in the package's folder. */
    sourcesFolder: Path,
    /** Where the persistent worktrees of the packages are kept. */
    worktreesFolder: Path,
    packager: z.string().min(1),
    /** More of makepkg's environment: MAKEFLAGS, COMPRESSZST, SOURCE_DATE_EPOCH and the like. */
    environment: z.record(z.string().regex(/^[A-Z][A-Z0-9_]*$/), z.string()).default({}),
    /** Whether to build if nothing on this host can confine a PKGBUILD's code: `required` refuses. */
    confinement: z.enum(['required', 'if-possible']).default('required'),
    /** What a confined build may read besides the system's own folders, for example a toolchain's folder. */
    readable: z.array(Path).optional(),
  }),
  /** Where built packages are offered to the publisher: one folder per attempt. */
  offeredFolder: Path,
  /** How much stays of what grows with each iteration. */
  keep: BuilderKeeps.prefault({}),
});
export type BuilderConfig = z.infer<typeof BuilderConfig>;

export const PublisherConfig = z.strictObject({
  ...common,
  role: z.literal('publisher'),
  peers: z.record(HostName, Peer),
  signing: z.strictObject({
    gnupgHome: Path,
    /** The one key to sign with. */
    fingerprint: Fingerprint,
    /** A keyring that holds that key's public half and nothing else, for gpgv. */
    keyring: Path,
  }),
  repository: z.strictObject({
    /** The database's name: `<name>.db`. */
    name: RepositoryName,
    /** Holds one folder per view, and the link `current` to the one that is served. */
    folder: Path,
  }),
  /** rsync's destination, and the URL that shows what it serves. */
  mirror: z.strictObject({ destination: z.string().min(1), url: z.url() }).optional(),
  keep: PublisherKeeps.prefault({}),
});
export type PublisherConfig = z.infer<typeof PublisherConfig>;

const extlinux = {
  /** Below `root`. */
  configFile: Path.default('/boot/extlinux/extlinux.conf'),
  /** The label that boots the installed kernel. */
  label: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, { error: 'must be the name of a label' }),
  /** For boot files on ext4, which U-Boot reads without the journal: the file system is frozen for a moment after each change. */
  freeze: z.boolean().optional(),
};
const UBootConfig = z.strictObject({
  kind: z.literal('u-boot'),
  ...extlinux,
  /** The variable of U-Boot's environment that names the label to boot next, once. */
  variable: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'must be the name of a variable' })
    .default('ka_trial'),
  setCommand: Argv.default(['fw_setenv']),
  printCommand: Argv.default(['fw_printenv']),
  /** Prints the environment that holds `bootcmd`, if the variable is kept in a separate environment. */
  bootPrintCommand: Argv.optional(),
});
export type UBootConfig = z.infer<typeof UBootConfig>;
const ExtlinuxConfig = z.strictObject({ kind: z.literal('extlinux'), ...extlinux });
export type ExtlinuxConfig = z.infer<typeof ExtlinuxConfig>;

export const BoardConfig = z.strictObject({
  ...common,
  role: z.literal('board'),
  peers: z.record(HostName, Peer),
  /** The root of the installed system. */
  root: Path,
  packages: z.array(PackageName).min(1),
  pacman: z.strictObject({
    command: Argv,
    /** pacman's configuration with the fleet's repository. */
    configFile: Path,
    /** One without repositories, for `-U`: a bad database in `sync/` makes every call fail. */
    localConfigFile: Path,
    /**
     * The fleet's repository, which enrolment adds to that configuration. A hook verifies the packages that pacman takes
     * from it, or from any repository there that is served at `repositoryUrl`.
     */
    repository: RepositoryName.optional(),
    cacheFolder: Path,
    logFile: Path,
    databaseFolder: Path,
  }),
  boot: z.strictObject({
    /** The installed kernel image, below `root`. */
    image: Path,
    initramfs: Path,
    /** Makes the initramfs. It is run by hand: pacman's hook does not watch an ARM Image. */
    initramfsCommand: Argv,
    /** More files that a rollback puts back, below `root`. A folder stands for everything in it. */
    keep: z.array(Path),
    rebootCommand: Argv,
    /**
     * How long a new kernel may run unconfirmed: then the board goes back on its own, without asking anybody. It has to
     * be longer than the sweep takes.
     */
    confirmWithinSeconds: z.int().min(1).default(3600),
    /** What boots the board, and can try a kernel once. Without one, each boot starts the installed kernel. */
    loader: z
      .discriminatedUnion('kind', [UBootConfig, ExtlinuxConfig, z.strictObject({ kind: z.literal('none') })])
      .optional(),
    /** Where a kernel that ended leaves traces. Without them nobody can tell how it ended. */
    traces: z
      .strictObject({
        /** Where the kernel's last words are found: `/sys/fs/pstore`, and where systemd-pstore(8) moves them. */
        pstoreFolders: z.array(Path),
        /** `bootstatus` of the hardware watchdog. */
        watchdogStatusFile: Path,
      })
      .optional(),
  }),
  /** Where it can be seen whether the board has a network. */
  network: z
    .strictObject({
      interfacesFolder: Path.default('/sys/class/net'),
      routeFiles: z.array(Path).default(['/proc/net/route', '/proc/net/ipv6_route']),
    })
    .prefault({}),
  /** Where the repository's `current` view is served. */
  repositoryUrl: z.url(),
  /** A download that stays below 1 kB/s for this long counts as stalled. Default: 10. */
  stallSeconds: z.int().min(1).optional(),
  signing: z.strictObject({ fingerprint: Fingerprint, keyring: Path }),
  sweep: z.strictObject({
    /** Run as `<command…> ROW PATH FIXTURE OUTPUT`; FIXTURE is `-` where the row has none. */
    command: Argv,
    fixturesFolder: Path,
    timeoutSeconds: z.int().min(1).default(120),
  }),
  /** Free space that has to remain on the root's file system after an install. */
  reserveBytes: z
    .int()
    .min(0)
    .default(64 * 1024 * 1024),
  keep: BoardKeeps.prefault({}),
});
export type BoardConfig = z.infer<typeof BoardConfig>;

/** An agent's own config file. */
export const AgentConfig = z.discriminatedUnion('role', [BuilderConfig, PublisherConfig, BoardConfig]);
export type AgentConfig = z.infer<typeof AgentConfig>;

/** The parts of a host's config that enrolment itself decides. */
const decided = { fleet: true, host: true, keyFile: true, trustFile: true, stateFolder: true } as const;
/** A file on this machine that is copied to the host. Its path is relative to the file that names it. */
const Carried = z.string().min(1);
const carriedNats = { nats: Nats.extend({ caFile: Carried.optional() }) };
const PeerOfEnrolled = Peer.omit({ identity: true });

/** A host that may log in over SFTP, and read what is offered. */
const Reader = z.strictObject({ key: SshPublicKey });
/** Such a host that may also store things: a board's backups. */
const Storer = Reader.extend({
  stores: z
    .strictObject({
      /** The size of a file system of its own; null where that can't be had: then nothing limits what it stores. */
      megabytes: z
        .int()
        .min(16)
        .max(16 * 1024 * 1024)
        .nullable(),
    })
    .optional(),
});
/** Who may log in to a host as a peer, by the name of the host that logs in. */
export type HostLogins = Record<string, z.infer<typeof Storer>>;

/** What an operator writes for a host that is to be enrolled: its config without the parts that enrolment decides. */
export const EnrolledHost = z.discriminatedUnion('role', [
  BuilderConfig.omit(decided).extend({
    ...carriedNats,
    logins: z.record(HostName, Reader).default({}),
    git: BuilderConfig.shape.git.extend({ ssh: z.strictObject({ knownHosts: Carried }).optional() }),
  }),
  PublisherConfig.omit(decided).extend({
    ...carriedNats,
    logins: z.record(HostName, Storer).default({}),
    peers: z.record(HostName, PeerOfEnrolled),
    signing: PublisherConfig.shape.signing.extend({ keyring: Carried }),
  }),
  BoardConfig.omit(decided).extend({
    ...carriedNats,
    peers: z.record(HostName, PeerOfEnrolled),
    signing: BoardConfig.shape.signing.extend({ keyring: Carried }),
  }),
]);
export type EnrolledHost = z.infer<typeof EnrolledHost>;

/** The config of the coordinator's daemon. */
export const CoordinatorConfig = z.strictObject({
  fleetFile: Path,
  nats: Nats,
  /** The coordinator's key, an NKey seed. */
  keyFile: Path,
  /** Where the coordinator keeps its copy of the log. It may be deleted at any time. */
  stateFolder: Path.optional(),
});
export type CoordinatorConfig = z.infer<typeof CoordinatorConfig>;

/** The config of the keeper beside the log's server. */
export const KeeperConfig = z.strictObject({
  fleetFile: Path,
  nats: Nats,
  /** The keeper's key, an NKey seed. */
  keyFile: Path,
  server: z.strictObject({
    /** What `ka fleet nats-config` has printed. */
    configFile: Path,
    /** What nats-server reads: the same without the rights of silenced writers. The keeper writes it. */
    runningFile: Path,
    /** Where nats-server writes its process id: SIGHUP makes it read its config again. */
    pidFile: Path,
  }),
  /** The writers that are silenced. */
  silencedFile: Path,
});
export type KeeperConfig = z.infer<typeof KeeperConfig>;

/** The config of the command line. */
export const OperatorConfig = z.strictObject({
  fleetFile: Path,
  nats: Nats,
  /**
   * The people who may give commands from here, and the file of each one's key, an NKey seed. The first is the default.
   */
  identities: z
    .record(PersonName, Path)
    .refine((identities) => Object.keys(identities).length > 0, { error: 'must name at least one person' }),
  /** For the command line's copy of the log, which may be deleted at any time; by default the user's cache folder. */
  cacheFolder: Path.optional(),
});
export type OperatorConfig = z.infer<typeof OperatorConfig>;
