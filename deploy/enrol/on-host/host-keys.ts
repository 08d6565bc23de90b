import {
  closeSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { asUser, asUserArgv } from '../../../eventlog/files/as-user.ts';
import {
  makeKeyFile,
  nextKeyFile,
  readKeyFile,
  readKeyFileIfAny,
} from '../../../eventlog/signing/key-file.ts';
import type { Run } from '../../../host/run.ts';
import { isEntryMissing, type Owner } from './owner.ts';

// The keys are in a folder that the agent's user owns, who can put a link to root's files there at any moment. So
// everything here happens as that user.

/** Whether there is a file, as its owner sees it. @throws {Error} if something else is there, as a link. */
const hasFile = (file: string): boolean => {
  const seen = lstatSync(file, { throwIfNoEntry: false });
  if (seen && !seen.isFile())
    throw new Error(
      `${file} is a ${seen.isSymbolicLink() ? 'link' : 'file of another kind'}, and a file was expected: see who has put it there, and remove it`,
    );
  return seen !== undefined;
};

/**
 * The host's public key, and the next one that waits to replace it; null if it has no key.
 * @param owner to whom the folder of the key belongs.
 */
const readHostKey = (file: string, owner: Owner): { publicKey: string; next: string | null } | null =>
  asUser(owner, () => {
    const next = nextKeyFile(file);
    if (!hasFile(file)) return null;
    return {
      publicKey: readKeyFile(file).publicKey,
      next: hasFile(next) ? (readKeyFileIfAny(next)?.publicKey ?? null) : null,
    };
  });

/** Makes the host's key if there is none. The private half stays in the file. */
export const makeHostKey = (file: string, owner: Owner): boolean =>
  asUser(owner, () => {
    if (hasFile(file)) return false;
    makeKeyFile(file);
    return true;
  });

const publicIdentity = /^ssh-ed25519 [A-Za-z0-9+/=]+(?: [\x21-\x7e]+)?$/;

/** The public half of the host's SSH identity: type, key and comment; null if it has none. */
const readIdentity = (file: string, owner: Owner): string | null => {
  const pub = `${file}.pub`;
  const text = asUser(owner, () => {
    try {
      return hasFile(pub) ? readFileSync(pub, 'utf8').trim() : null;
    } catch (error) {
      if (isEntryMissing(error)) return null;
      throw error;
    }
  });
  // It goes into other machines' files: a line end in it would begin a line with other rights.
  if (text !== null && !publicIdentity.test(text))
    throw new Error(`${pub} holds no public ed25519 key of SSH: remove ${pub}, and enrol again`);
  return text;
};

const writeWhole = (file: string, text: string): void => {
  const descriptor = openSync(file, 'wx', 0o644);
  try {
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
};

/** Makes the SSH identity with which the host logs in to its peers, if there is none: ed25519, without a passphrase. */
export const makeIdentity = async (
  run: Run,
  file: string,
  comment: string,
  owner: Owner,
): Promise<boolean> => {
  const here = <T>(act: () => T): T => asUser(owner, act);
  const runHere = (argv: readonly string[]) => run([...asUserArgv(owner), ...argv], { quiet: true });
  const isThere = here(() => hasFile(file));
  // The public half is written last: without it the identity is incomplete.
  if (isThere && readIdentity(file, owner) !== null) return false;
  const part = `${file}.part`;
  here(() => {
    for (const one of [part, `${part}.pub`]) rmSync(one, { force: true });
  });
  if (isThere) {
    const { stdout } = await runHere(['ssh-keygen', '-y', '-f', file]);
    here(() => writeWhole(`${part}.pub`, `${stdout.trim()}\n`));
  } else {
    await runHere(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', part]);
    await runHere(['sync', '--', part, `${part}.pub`]);
    here(() => renameSync(part, file));
  }
  here(() => renameSync(`${part}.pub`, `${file}.pub`));
  await runHere(['sync', '--', dirname(file)]);
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
