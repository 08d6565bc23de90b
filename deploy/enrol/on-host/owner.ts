import type { User } from '../../../eventlog/files/as-user.ts';
import type { Run } from '../../../host/run.ts';

export type Owner = User;

export const isEntryMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');

/** A user of this machine and its group, as NSS knows them; undefined if there is no such user. */
export const findOwner = async (run: Run, name: string): Promise<Owner | undefined> => {
  const { exitCode, stdout } = await run(['getent', 'passwd', name], { exitCodes: [0, 2], quiet: true });
  if (exitCode !== 0) return undefined;
  const [, , uid, gid] = stdout.trim().split(':');
  return { uid: Number(uid), gid: Number(gid) };
};

/** Returns a function that looks up each name once. It throws if there is no such user. */
export const ownerLookUp = (run: Run) => {
  const found = new Map<string, Owner>();
  return async (name: string): Promise<Owner> => {
    const owner = found.get(name) ?? (await findOwner(run, name));
    if (!owner) throw new Error(`this host has no user ${name}`);
    found.set(name, owner);
    return owner;
  };
};

/** Root, and in a test that is not root, whoever runs it. */
export const rootsOwner = (): Owner => ({ uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 });
