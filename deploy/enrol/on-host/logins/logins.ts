import { lstatSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../../../../host/run.ts';
import { findOwner } from '../owner.ts';
import { rootsFolder } from '../roots-folder.ts';
import type { AskedLogins } from './asked-logins.ts';
import { lookAtLoginUser, makeLoginUser } from './login-user.ts';
import { lookAtDropIn, placeDropIn, reloadSshd } from './sshd-drop-in.ts';
import { lookAtStore, makeStore } from './store.ts';

/** What is in the logins' root, is not theirs to see, and is open to them. A store of one that left is closed. */
const strangersIn = async ({ root, entries }: AskedLogins): Promise<string[]> =>
  (await readdir(root)).filter(
    (name) => !entries.includes(name) && (lstatSync(join(root, name)).mode & 0o007) !== 0,
  );

/** @throws {Error} if a folder can't be what those who log in see as `/`. */
const requireRoot = async (asked: AskedLogins): Promise<void> => {
  rootsFolder(asked.root);
  const strangers = await strangersIn(asked);
  if (strangers.length > 0)
    throw new Error(
      `${asked.root} holds ${strangers.slice(0, 3).join(', ')}, which ${asked.logins.map(({ host }) => host).join(' and ')} would see: let it hold nothing but what is offered`,
    );
};

/** What would be done so that exactly these may log in, one line each. Changes nothing. */
export const lookAtLogins = async (run: Run, asked: AskedLogins): Promise<string[]> => {
  const lines: string[] = [];
  for (const { host, user, store } of asked.logins) {
    if ((await lookAtLoginUser(run, user)) === 'absent') lines.push(`make the user ${user}, for ${host}`);
    if (store && (await lookAtStore(store, await findOwner(run, user))) === 'other')
      lines.push(
        `make a folder for ${host} in ${store.folder}, ${store.image === null ? 'without an end' : `of ${store.bytes / 1024 / 1024} MB`}`,
      );
  }
  if ((await lookAtDropIn(asked)) === 'other') lines.push(`put ${asked.dropIn.path}`);
  return lines;
};

/**
 * Lets exactly these log in, each over SFTP alone, in a root that they can't leave. Their keys and the root are among
 * enrolment's files and folders, and are there by now.
 * @throws {Error} if the root is not root's alone, or holds something else.
 */
export const changeLogins = async (
  run: Run,
  asked: AskedLogins,
  note: (what: string, did: boolean) => void,
): Promise<void> => {
  if (asked.logins.length > 0) await requireRoot(asked);
  for (const { user, store } of asked.logins) {
    note(`user ${user}`, await makeLoginUser(run, user));
    const owner = await findOwner(run, user);
    if (!owner) throw new Error(`there is no user ${user} after it was made`);
    if (store) note(store.folder, await makeStore(run, store, owner));
  }
  note(asked.dropIn.path, await placeDropIn(run, asked));
  await reloadSshd(run);
};
