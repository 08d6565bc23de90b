import { z } from 'zod';
import { EnrolledAs } from './enrolled-as.ts';
import { AskedLogins } from './logins/asked-logins.ts';
import { OpenWork } from './open-work.ts';
import { PacmanRepository } from './pacman-config.ts';

/** A file as it should be on a host. */
const WantedFile = z.object({
  path: z.string(),
  /** Permission bits. */
  mode: z.int(),
  /** A user's name; its group has the same name. */
  owner: z.string(),
  sha256: z.string(),
});
export type WantedFile = z.infer<typeof WantedFile>;

const Folder = z.object({ path: z.string(), mode: z.int(), owner: z.string() });
const Link = z.object({ path: z.string(), target: z.string() });

const Places = z.object({
  keyFile: z.string(),
  /** The file of the SSH identity for peers; null if the host needs none. */
  identityFile: z.string().nullable(),
  /** This file exists from before the first file is changed until the units run with all of them. */
  owedFile: z.string(),
});

export const Survey = z.object({
  do: z.literal('survey'),
  places: Places,
  /** The agent's config, which shows as what the machine is enrolled already. */
  configFile: z.string(),
  /** A program that prints the open work, as JSON. */
  openWork: z.array(z.string()),
  user: z.string().nullable(),
  programs: z.array(z.string()),
  /** Paths that have to exist already: the config names them, and enrolment does not make them. */
  paths: z.array(z.string()),
  files: z.array(WantedFile),
  folders: z.array(Folder),
  links: z.array(Link),
  /** pacman's config, for gpg's `ignore-time-conflict` in its keyring. */
  pacmanConfig: z.string().nullable(),
  pacmanRepository: PacmanRepository.nullable(),
  /** Who may log in as a peer; null to leave that alone. */
  logins: AskedLogins.nullable(),
  units: z.array(z.string()),
});
export type Survey = z.infer<typeof Survey>;

export const Apply = z.object({
  do: z.literal('apply'),
  places: Places,
  /** A system user to make if it does not exist, with its home. */
  user: z.object({ name: z.string(), home: z.string() }).nullable(),
  folders: z.array(Folder),
  files: z.array(WantedFile.extend({ base64: z.string() })),
  links: z.array(Link),
  /** The owner of the host's keys. */
  keysOf: z.string(),
  /** Whether these are made if they do not exist. */
  makesKeys: z.boolean(),
  identityComment: z.string(),
  pacmanConfig: z.string().nullable(),
  /** Changed after the files are in their places, of which the hook is one. */
  pacmanRepository: PacmanRepository.nullable(),
  /** Who may log in as a peer; null to leave that alone. */
  logins: AskedLogins.nullable(),
  /** A program that has to succeed with the new files before a link points to them. */
  check: z.array(z.string()).nullable(),
});
export type Apply = z.infer<typeof Apply>;

export const Start = z.object({
  do: z.literal('start'),
  places: Places,
  units: z.array(z.string()),
  /** The folder with one folder per build, and the builds to keep; null keeps all of them. */
  builds: z.object({ folder: z.string(), keep: z.array(z.string()).nullable() }),
});
export type Start = z.infer<typeof Start>;

export const Retire = z.object({
  do: z.literal('retire'),
  /** The host that the agent's config there has to name. */
  host: z.string(),
  configFile: z.string(),
  units: z.array(z.string()),
  /** A program that prints the open work, as JSON: run before anything is changed. */
  openWork: z.array(z.string()),
  force: z.boolean(),
  dryRun: z.boolean(),
  /** Files and folders to remove, with everything in them. */
  remove: z.array(z.string()),
  /** Folders to remove if they are empty then. */
  removeIfEmpty: z.array(z.string()),
  /** The agent's user, if it is to be removed: with it go the users as whom others may log in. */
  user: z.string().nullable(),
});
export type Retire = z.infer<typeof Retire>;

export const Asked = z.discriminatedUnion('do', [Survey, Apply, Start, Retire]);
export type Asked = z.infer<typeof Asked>;

const Key = z.object({ publicKey: z.string(), next: z.string().nullable() });

export const Surveyed = z.object({
  uid: z.int(),
  enrolledAs: EnrolledAs.nullable(),
  /** Null if no agent is installed, or its program does not run. */
  open: OpenWork.nullable(),
  hostname: z.string(),
  node: z.object({ arch: z.string(), abi: z.string(), version: z.string(), file: z.string() }),
  /** systemd's version; null if it does not run this machine. */
  systemd: z.string().nullable(),
  missing: z.array(z.string()),
  /** The asked paths that do not exist. */
  lacking: z.array(z.string()),
  hasUser: z.boolean(),
  /** Free bytes on the disk of each folder in which files are put. */
  free: z.array(z.object({ folder: z.string(), bytes: z.number() })),
  /** The paths of files, folders and links that are absent, and of those that differ. */
  absent: z.array(z.string()),
  other: z.array(z.string()),
  key: Key.nullable(),
  sshPublicKey: z.string().nullable(),
  isOwed: z.boolean(),
  /** What would be done about logins, one line each. */
  logins: z.array(z.string()),
  /** The present target of each link. */
  links: z.record(z.string(), z.string()),
  units: z.array(z.object({ name: z.string(), active: z.string(), enabled: z.string() })),
});
export type Surveyed = z.infer<typeof Surveyed>;

export const Applied = z.object({
  changed: z.array(z.string()),
  key: Key.nullable(),
  sshPublicKey: z.string().nullable(),
});

export const Started = z.object({
  units: z.array(z.object({ name: z.string(), active: z.string(), says: z.array(z.string()) })),
});

export const Retired = z.object({
  refused: z.string().nullable(),
  /** Whether --force would do it anyway. */
  isForceable: z.boolean(),
  did: z.array(z.string()),
});
