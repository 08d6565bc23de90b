import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { z } from 'zod';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { logCopyReader } from '../daemon/read-log-copy.ts';

/** A message that a source still has. Its former sequence is not always known. */
export interface HeldMessage extends Omit<KeptMessage, 'sequence'> {
  sequence: number | null;
  /** The source that has it, in words. */
  from: string;
}

/** A file that may hold events. */
export interface Source {
  kind: 'copy' | 'journal' | 'saved';
  file: string;
  /** The source's name for people. */
  from: string;
  /** A person named this file: if it can't be read, that is an error and not ignored. */
  isNamed: boolean;
}

/** What the sources hold. */
export interface Gathered {
  held: HeldMessage[];
  /** The highest epoch that a host was told of. */
  epoch: number;
}

/** Reads a host's journal or the coordinator's copy, whose format only its writer knows. */
export interface HeldReader {
  /** The messages of the log that it holds. @throws if it can't be read. */
  messages(file: string): { messages: readonly Omit<HeldMessage, 'from'>[]; epoch: number };
  /** A blob of one of those messages. @throws if it can't be read. */
  blob(file: string, sha256: string): Uint8Array | undefined;
}

const SavedMessage = z.object({
  sequence: z.int().min(1),
  subject: z.string(),
  signature: z.string(),
  bytes: z.base64(),
});

/** Saves the messages of a log in a new file, each as a line of JSON. They are on the disk when this returns. */
export const saveMessages = (file: string, messages: readonly KeptMessage[]): void => {
  const saved = openSync(file, 'wx');
  try {
    for (const { sequence, subject, bytes, signature } of messages) {
      const line = { sequence, subject, signature, bytes: Buffer.from(bytes).toString('base64') };
      writeSync(saved, `${JSON.stringify(line)}\n`);
    }
    fsyncSync(saved);
  } finally {
    closeSync(saved);
  }
};

/** Reads a file that {@link saveMessages} wrote. */
const readSaved = ({ file, from }: Source): Gathered => {
  const held = readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line, index): HeldMessage[] => {
      if (line === '') return [];
      try {
        const { bytes, ...message } = SavedMessage.parse(JSON.parse(line));
        return [{ ...message, bytes: Buffer.from(bytes, 'base64'), from }];
      } catch (cause) {
        throw new Error(`line ${index + 1} is no saved event`, { cause });
      }
    });
  return { held, epoch: 1 };
};

/** Finds a blob by its sha256 in the copy or the journals, which all store blobs under that name. */
export const findBlob = (
  sources: readonly Source[],
  journals: HeldReader,
  sha256: string,
): Uint8Array | undefined => {
  for (const { kind, file } of sources) {
    if (kind === 'saved' || !existsSync(file)) continue;
    try {
      const reader = kind === 'copy' ? logCopyReader : journals;
      const found = reader.blob(file, sha256);
      if (found !== undefined) return found;
    } catch {
      // `gather` has reported that this source can't be read
    }
  }
  return undefined;
};

const readSource = (source: Source, journals: HeldReader): Gathered => {
  if (source.kind === 'saved') return readSaved(source);
  const reader = source.kind === 'copy' ? logCopyReader : journals;
  const { messages, epoch } = reader.messages(source.file);
  return { held: messages.map((message) => ({ ...message, from: source.from })), epoch };
};

/**
 * Reads sources, in their order.
 * @param onUnreadable called with a sentence for each source that can't be read; it may throw to end the reading.
 */
export const gather = (
  sources: readonly Source[],
  journals: HeldReader,
  onUnreadable: (source: Source, sentence: string) => void,
): Gathered => {
  let all: Gathered = { held: [], epoch: 1 };
  for (const source of sources)
    try {
      if (!existsSync(source.file)) throw new Error('it is not there');
      const { held, epoch } = readSource(source, journals);
      all = { held: all.held.concat(held), epoch: Math.max(all.epoch, epoch) };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      onUnreadable(source, `${source.file} can't be read (${why}): what only it has can't be rebuilt`);
    }
  return all;
};
