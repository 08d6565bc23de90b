import { z } from 'zod';

/** A file system of its own, in which a login may store things: an image that is mounted. */
const Store = z.object({
  /** Where it is mounted. */
  folder: z.string(),
  /** The image's file; null for a plain folder, which nothing limits. */
  image: z.string().nullable(),
  bytes: z.int(),
  /** The unit that mounts it at each boot, and its text. */
  unit: z.object({ name: z.string(), path: z.string(), text: z.string() }),
});
export type Store = z.infer<typeof Store>;

/** A host that may log in here over SFTP, as a user of its own. */
const Login = z.object({
  host: z.string(),
  user: z.string(),
  store: Store.nullable(),
});
export type Login = z.infer<typeof Login>;

/** Who may log in on a host, and what they find there. */
export const AskedLogins = z.object({
  /** The folder that they see as `/`. It is root's, and so is every folder above it. */
  root: z.string(),
  /** The names that may be in it. */
  entries: z.array(z.string()),
  logins: z.array(Login),
  /** sshd's own file for these users. */
  dropIn: z.object({ path: z.string(), text: z.string() }),
  /** For each user, what `sshd -T` has to say once that file is read. */
  effective: z.array(z.object({ user: z.string(), lines: z.array(z.string()) })),
});
export type AskedLogins = z.infer<typeof AskedLogins>;

/** The user as which a host logs in at another one. */
export const loginUser = (host: string): string => `ka-${host}`;
