import { existsSync } from 'node:fs';
import { chown, readFile, rename, rm } from 'node:fs/promises';
import {
  makeKeyFile,
  nextKeyFile,
  readKeyFile,
  readKeyFileIfAny,
} from '../../../eventlog/signing/key-file.ts';
import type { Run } from '../../../host/run.ts';
import { isEntryMissing, type Owner } from './owner.ts';

/** The host's public key, and the next one that waits to replace it; null if it has no key. */
export const readHostKey = (file: string): { publicKey: string; next: string | null } | null => {
  if (!existsSync(file)) return null;
  return {
    publicKey: readKeyFile(file).publicKey,
    next: readKeyFileIfAny(nextKeyFile(file))?.publicKey ?? null,
  };
};

/** Makes the host's key if there is none. The private half stays in the file. */
export const makeHostKey = async (file: string, owner: Owner): Promise<boolean> => {
  const isNew = !existsSync(file);
  if (isNew) makeKeyFile(file);
  await chown(file, owner.uid, owner.gid); // also repairs an interrupted run
  return isNew;
};

/** The public half of the host's SSH identity: type, key and comment; null if it has none. */
export const readIdentity = async (file: string): Promise<string | null> => {
  try {
    return (await readFile(`${file}.pub`, 'utf8')).trim();
  } catch (error) {
    if (isEntryMissing(error)) return null;
    throw error;
  }
};

/** Makes the SSH identity with which the host logs in to its peers, if there is none: ed25519, without a passphrase. */
export const makeIdentity = async (
  run: Run,
  file: string,
  comment: string,
  owner: Owner,
): Promise<boolean> => {
  // The public half is written last: without it the identity is incomplete.
  if ((await readIdentity(file)) !== null && existsSync(file)) return false;
  const part = `${file}.part`;
  for (const one of [part, `${part}.pub`]) await rm(one, { force: true });
  if (existsSync(file)) {
    const { stdout } = await run(['ssh-keygen', '-y', '-f', file], { quiet: true });
    await run(['dd', `of=${part}.pub`, 'conv=fsync', 'status=none'], { input: `${stdout.trim()}\n` });
  } else {
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', part]);
    await run(['sync', '--', part, `${part}.pub`]);
    await chown(part, owner.uid, owner.gid);
    await rename(part, file);
  }
  await chown(`${part}.pub`, owner.uid, owner.gid);
  await rename(`${part}.pub`, `${file}.pub`);
  return true;
};
