/** A user and its group, by their numbers. */
export interface User {
  uid: number;
  gid: number;
}

const isRoot = (): boolean => process.geteuid?.() === 0;

/**
 * Does something as a user, if this is root: what it makes is that user's, and a link that the user has planted leads
 * nowhere where the user could not write. Otherwise, or if the user is root, it is just done.
 * @param act synchronous, since the whole process is that user meanwhile.
 */
export const asUser = <T>({ uid, gid }: User, act: () => T): T => {
  if (!isRoot() || uid === 0) return act();
  const [ownGroups, ownGid] = [process.getgroups?.() ?? [], process.getegid?.() ?? 0];
  process.setgroups?.([gid]);
  process.setegid?.(gid);
  process.seteuid?.(uid);
  try {
    return act();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(ownGid);
    process.setgroups?.(ownGroups);
  }
};

/** What comes before an argv so that the program runs as a user, if this is root: it can't become root again. */
export const asUserArgv = ({ uid, gid }: User): string[] =>
  isRoot() && uid !== 0
    ? ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--inh-caps=-all', '--']
    : [];
