import type { WriterKey } from '../signing/writer-key.ts';
import { hashSize, type TreeHead } from './merkle-tree.ts';
import { BadNote, openNote, signNote } from './signed-note.ts';

/** The name of a log in its checkpoints. Each epoch counts as a log of its own. */
export const logOrigin = (fleet: string, epoch: number): string => `kernel-agent/${fleet}/${epoch}`;

/** Signs the head of a log's tree as a C2SP checkpoint. https://c2sp.org/tlog-checkpoint */
export const signCheckpoint = (origin: string, { size, root }: TreeHead, key: WriterKey): string =>
  signNote(`${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`, origin, key);

/**
 * Reads a checkpoint that one of the log's keys signed.
 * @throws {BadNote} if it is not a checkpoint, is of another log, or has more than the three lines.
 */
export const openCheckpoint = (note: string, origin: string, publicKeys: readonly string[]): TreeHead => {
  const [found, sizeText = '', rootText = '', ...more] = openNote(note, origin, publicKeys).split('\n');
  if (found !== origin) throw new BadNote(`the checkpoint is of the log "${found}", expected ${origin}`);
  if (more.length !== 1)
    throw new BadNote(`a checkpoint of ${origin} has three lines, found ${2 + more.length}`);
  const size = Number(sizeText);
  if (!/^(0|[1-9]\d*)$/.test(sizeText) || !Number.isSafeInteger(size))
    throw new BadNote(`"${sizeText}" is not the size of a log`);
  const root = Buffer.from(rootText, 'base64');
  if (root.length !== hashSize || root.toString('base64') !== rootText)
    throw new BadNote(`"${rootText}" is not the root of a tree: expected ${hashSize} bytes in base64`);
  return { size, root };
};
