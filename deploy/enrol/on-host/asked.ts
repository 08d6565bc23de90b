import { z } from 'zod';
import { EnrolledAs } from './enrolled-as.ts';
import { OpenWork } from './open-work.ts';

/** A file as it should lie on a host. */
const WantedFile = z.object({
  path: z.string(),
  /** Permission bits. */
  mode: z.int(),
  /** A user's name, whose group is that of the same name. */
  owner: z.string(),
  sha256: z.string(),
});
export type WantedFile = z.infer<typeof WantedFile>;

const Folder = z.object({ path: z.string(), mode: z.int(), owner: z.string() });
const Link = z.object({ path: z.string(), target: z.string() });

const Places = z.object({
  keyFile: z.string(),
  /** Where the SSH identity for peers is, if the host has any. */
  identityFile: z.string().nullable(),
  /** Is there from before the first file is changed until the units run with all of them. */
  owedFile: z.string(),
});

export const Survey = z.object({
  do: z.literal('survey'),
  places: Places,
  /** The agent's config, which says who the machine is already. */
  configFile: z.string(),
  /** A program that says what is open, as JSON. */
  openWork: z.array(z.string()),
  user: z.string().nullable(),
  programs: z.array(z.string()),
  /** What has to be there already: the config names it, and enrolment does not make it. */
  paths: z.array(z.string()),
  files: z.array(WantedFile),
  folders: z.array(Folder),
  links: z.array(Link),
  /** pacman's config, for gpg's `ignore-time-conflict` in its keyring. */
  pacmanConfig: z.string().nullable(),
  units: z.array(z.string()),
});
export type Survey = z.infer<typeof Survey>;

export const Apply = z.object({
  do: z.literal('apply'),
  places: Places,
  /** A system user to make if it is not there, with its home. */
  user: z.object({ name: z.string(), home: z.string() }).nullable(),
  folders: z.array(Folder),
  files: z.array(WantedFile.extend({ base64: z.string() })),
  links: z.array(Link),
  /** Make the host's keys if they are not there; they belong to that user. */
  keysOf: z.string().nullable(),
  identityComment: z.string(),
  pacmanConfig: z.string().nullable(),
  /** A program that has to end well with what was put there, before anything names it. */
  check: z.array(z.string()).nullable(),
});
export type Apply = z.infer<typeof Apply>;

export const Start = z.object({
  do: z.literal('start'),
  places: Places,
  units: z.array(z.string()),
  /** The folder that holds one folder a build, and the builds that stay; null: all of them. */
  builds: z.object({ folder: z.string(), keep: z.array(z.string()).nullable() }),
});
export type Start = z.infer<typeof Start>;

export const Retire = z.object({
  do: z.literal('retire'),
  /** Who the machine has to be, by the agent's config there. */
  host: z.string(),
  configFile: z.string(),
  units: z.array(z.string()),
  /** A program that says what is open, as JSON: run before anything is touched. */
  openWork: z.array(z.string()),
  force: z.boolean(),
  dryRun: z.boolean(),
  /** Files and folders to remove with all that is in them. */
  remove: z.array(z.string()),
  /** Folders to remove if nothing is in them then. */
  removeIfEmpty: z.array(z.string()),
  /** The user to remove, if any. */
  user: z.string().nullable(),
});
export type Retire = z.infer<typeof Retire>;

export const Asked = z.discriminatedUnion('do', [Survey, Apply, Start, Retire]);
export type Asked = z.infer<typeof Asked>;

const Key = z.object({ publicKey: z.string(), next: z.string().nullable() });

export const Surveyed = z.object({
  uid: z.int(),
  enrolledAs: EnrolledAs.nullable(),
  /** null where no agent is installed, or one that doesn't run. */
  open: OpenWork.nullable(),
  hostname: z.string(),
  node: z.object({ arch: z.string(), abi: z.string(), version: z.string(), file: z.string() }),
  /** systemd's version; null where it does not run this machine. */
  systemd: z.string().nullable(),
  missing: z.array(z.string()),
  /** Of the asked paths. */
  lacking: z.array(z.string()),
  hasUser: z.boolean(),
  /** Free bytes of the disk of each folder that files go to. */
  free: z.array(z.object({ folder: z.string(), bytes: z.number() })),
  /** The paths of files, folders and links that are not there, and of those that are otherwise. */
  absent: z.array(z.string()),
  other: z.array(z.string()),
  key: Key.nullable(),
  sshPublicKey: z.string().nullable(),
  isOwed: z.boolean(),
  /** What each link names now. */
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
  /** Whether it is done all the same where that is asked for. */
  isForceable: z.boolean(),
  did: z.array(z.string()),
});
