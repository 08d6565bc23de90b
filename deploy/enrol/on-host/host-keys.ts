import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { asUserArgv } from '../../../eventlog/files/as-user.ts';
import { makeKeyFile, nextKeyFile } from '../../../eventlog/signing/key-file.ts';
import { readWriterKey } from '../../../eventlog/signing/writer-key.ts';
import type { Run } from '../../../host/run.ts';
import { inFolder, putHeld, readHeld } from './held-folder.ts';
import type { Owner } from './owner.ts';

/** A file in the folder of the keys, which the agent's user owns; undefined if it is not there. */
const readIn = (file: string, owner: Owner): string | undefined =>
  inFolder(dirname(file), (held) => readHeld(held, basename(file), owner, file));

const publicKeyIn = (file: string, owner: Owner): string | undefined => {
  const text = readIn(file, owner);
  if (text === undefined) return undefined;
  try {
    return readWriterKey(text).publicKey;
  } catch (cause) {
    throw new Error(`the key ${file} can't be used: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
};

/** The host's public key, and the next one that waits to replace it; null if it has no key. */
const readHostKey = (file: string, owner: Owner): { publicKey: string; next: string | null } | null => {
  const publicKey = publicKeyIn(file, owner);
  return publicKey === undefined ? null : { publicKey, next: publicKeyIn(nextKeyFile(file), owner) ?? null };
};

/** Makes the host's key if there is none. The private half stays in the file. */
export const makeHostKey = (file: string, owner: Owner): boolean => {
  if (readIn(file, owner) !== undefined) return false;
  inFolder(dirname(file), (held) => makeKeyFile(`${held}/${basename(file)}`, owner));
  return true;
};

const publicIdentity = /^ssh-ed25519 [A-Za-z0-9+/=]+(?: [\x21-\x7e]+)?$/;

/** The public half of the host's SSH identity: type, key and comment; null if it has none. */
const readIdentity = (file: string, owner: Owner): string | null => {
  const text = readIn(`${file}.pub`, owner)?.trim() ?? null;
  // It goes into other machines' files: a line end in it would begin a line with other rights.
  if (text !== null && !publicIdentity.test(text))
    throw new Error(`${file}.pub holds no public ed25519 key of SSH: remove it, and enrol again`);
  return text;
};

/** Makes a pair of keys where no user can put a link. */
const generateIdentity = async (run: Run, comment: string): Promise<{ secret: string; pub: string }> => {
  const folder = await mkdtemp(join(tmpdir(), 'ka-identity-'));
  try {
    const file = join(folder, 'id');
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', file], { quiet: true });
    return { secret: await readFile(file, 'utf8'), pub: await readFile(`${file}.pub`, 'utf8') };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** Makes the SSH identity with which the host logs in to its peers, if there is none: ed25519, without a passphrase. */
export const makeIdentity = async (
  run: Run,
  file: string,
  comment: string,
  owner: Owner,
): Promise<boolean> => {
  const there = readIn(file, owner);
  // The public half is written last: without it the identity is incomplete.
  if (there !== undefined && readIdentity(file, owner) !== null) return false;
  const publicOf = async (input: string) => {
    const argv = [...asUserArgv(owner), 'ssh-keygen', '-y', '-f', '/dev/stdin'];
    return (await run(argv, { input, quiet: true })).stdout;
  };
  const made =
    there === undefined
      ? await generateIdentity(run, comment)
      : { secret: undefined, pub: await publicOf(there) };
  inFolder(dirname(file), (held) => {
    const name = basename(file);
    if (made.secret !== undefined) putHeld(held, name, { text: made.secret, mode: 0o600, owner });
    putHeld(held, `${name}.pub`, { text: `${made.pub.trim()}\n`, mode: 0o644, owner });
  });
  await run(['sync', '--', dirname(file)], { quiet: true });
  return true;
};

/** The public halves of a host's keys. @param owner to whom the folder of the keys belongs. */
export const readKeys = (
  { keyFile, identityFile }: { keyFile: string; identityFile: string | null },
  owner: Owner,
) => ({
  key: readHostKey(keyFile, owner),
  sshPublicKey: identityFile === null ? null : readIdentity(identityFile, owner),
});
