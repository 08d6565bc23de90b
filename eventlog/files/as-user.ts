/** A user and its group, by their numbers. */
export interface User {
  uid: number;
  gid: number;
}

/** What comes before an argv so that the program runs as a user, if this is root: it can't become root again. */
export const asUserArgv = ({ uid, gid }: User): string[] =>
  process.geteuid?.() === 0 && uid !== 0
    ? ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--inh-caps=-all', '--']
    : [];
