import {
  closeSync,
  existsSync,
  fchownSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { User } from '../files/as-user.ts';
import { generateWriterKey, readWriterKey, type WriterKey } from './writer-key.ts';

/** Where a writer's next key waits, beside the current one. */
export const nextKeyFile = (keyFile: string): string => `${keyFile}.new`;
/** Where the writer's previous key is kept, until its owner removes it. */
export const formerKeyFile = (keyFile: string): string => `${keyFile}.old`;

/** @throws one sentence, if the file can't be read or holds no key. The sentence never shows the content. */
export const readKeyFile = (file: string): WriterKey => {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new Error(`the key ${file} can't be read (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
  try {
    return readWriterKey(text);
  } catch (cause) {
    throw new Error(`the key ${file} can't be used: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
};

/** Like {@link readKeyFile}; undefined if there is no such file. */
export const readKeyFileIfAny = (file: string): WriterKey | undefined =>
  existsSync(file) ? readKeyFile(file) : undefined;

const syncFolder = (folder: string): void => {
  const descriptor = openSync(folder, 'r');
  fsyncSync(descriptor);
  closeSync(descriptor);
};

/** @throws one sentence, if the folder is a link: its owner could let it lead anywhere. */
const folderOwner = (folder: string): User => {
  const seen = lstatSync(folder, { throwIfNoEntry: false });
  if (seen?.isSymbolicLink())
    throw new Error(`no key is made in ${folder}, which is a link: name the folder itself`);
  return seen ?? { uid: 0, gid: 0 };
};

const spellMode = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0');

/** What is wrong with the folder that holds a key: others could replace the key. Undefined if nothing is wrong. */
export const keyFolderFault = (file: string): string | undefined => {
  const folder = dirname(file);
  const { mode } = statSync(folder);
  return mode & 0o022 ? `others may write to its folder ${folder} (mode ${spellMode(mode)})` : undefined;
};

/** What is wrong with the mode or the owner of a key's file. Undefined if nothing is wrong. */
export const keyFileFault = (file: string): string | undefined => {
  const { mode, uid } = statSync(file);
  if ((mode & 0o7777) !== 0o600) return `its mode is ${spellMode(mode)}, and 0600 was expected`;
  const mine = process.getuid?.();
  // Root handles everybody's keys: each key belongs to the owner of its folder.
  const owner = mine === 0 ? statSync(dirname(file)).uid : mine;
  return uid === owner || uid === mine ? undefined : `it belongs to user ${uid}, and ${owner} was expected`;
};

/**
 * Makes a key. Its file is complete or not there at all, and nobody else can read it. It belongs to the owner of its
 * folder, who has to read it, also if root makes it.
 * @param owner to whom the folder belongs, if the caller knows it.
 * @throws one sentence, if there is a file already, others may write to the folder, or the folder is a link.
 */
export const makeKeyFile = (file: string, owner: User = folderOwner(dirname(file))): WriterKey => {
  if (!existsSync(dirname(file)))
    throw new Error(
      `no key is made in ${file}: its folder is not there; next: install -d -m 700 ${dirname(file)}`,
    );
  const fault = keyFolderFault(file);
  if (fault !== undefined)
    throw new Error(`no key is made in ${file}: ${fault}; next: chmod go-w ${dirname(file)}`);
  const part = `${file}.part`;
  rmSync(part, { force: true }); // left by an earlier run that was cut
  const seed = generateWriterKey();
  const descriptor = openSync(part, 'wx', 0o600);
  try {
    writeSync(descriptor, `${seed}\n`);
    // Of the file that is open: by its name, it could be a link by now.
    if (process.geteuid?.() === 0) fchownSync(descriptor, owner.uid, owner.gid);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  try {
    linkSync(part, file); // unlike a rename, a link replaces nothing
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new Error(`${file} is there already, and a key is never overwritten; name another file`, { cause });
  } finally {
    rmSync(part);
  }
  syncFolder(dirname(file));
  return readWriterKey(seed);
};

/**
 * Puts the waiting key in the place of the key in use, which is kept beside it. If this is cut anywhere, there is still
 * a key in use, and this may be run again.
 */
export const takeNextKey = (keyFile: string): void => {
  const former = formerKeyFile(keyFile);
  const part = `${former}.part`;
  rmSync(part, { force: true });
  linkSync(keyFile, part);
  renameSync(part, former);
  rmSync(part, { force: true }); // a rename onto another name of the same file does nothing, rename(2)
  renameSync(nextKeyFile(keyFile), keyFile);
  syncFolder(dirname(keyFile));
};
