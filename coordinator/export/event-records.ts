import { z } from 'zod';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { isWithheld, type WithheldMessage } from '../../eventlog/tree/log-tree.ts';
import { FleetName, Sha256 } from '../../schemas/names.ts';

/** The member of an export from which all its other members follow. */
export const eventsMember = 'events.jsonl';

/** The member with a blob of the events, named by the sha256 of its bytes. */
export const blobMember = (sha256: string): string => `blobs/${sha256}`;

/** The first line of an exported log: what it claims to be. */
export interface LogHeader {
  fleet: string;
  /** The log's epoch, counted from 1. */
  epoch: number;
  /** The number of messages; each is a line. */
  size: number;
  /** The coordinator's checkpoint over exactly these messages. */
  note: string;
}

/** A message of an exported log, whole or withheld. */
export type LogRecord = KeptMessage | WithheldMessage;

/** A line that an export would not write in this way. */
export interface BadRecord {
  /** Counted from 1. */
  line: number;
  why: string;
}

export interface ExportedLog {
  header: LogHeader | BadRecord;
  records: Iterable<LogRecord | BadRecord>;
}

export const isBad = (record: object): record is BadRecord => 'line' in record;

const format = 'kernel-agent log 1';

const Header = z.object({
  format: z.literal(format),
  fleet: FleetName,
  epoch: z.int().min(1),
  size: z.int().min(1),
  note: z.string(),
});
const place = { sequence: z.int().min(1), subject: z.string(), signature: z.string() };
const Record = z.union([z.object({ ...place, bytes: z.string() }), z.object({ ...place, sha256: Sha256 })]);

const spellHeader = ({ fleet, epoch, size, note }: LogHeader): string =>
  JSON.stringify({ format, fleet, epoch, size, note });

const spellRecord = (record: LogRecord): string => {
  const { sequence, subject, signature } = record;
  return JSON.stringify(
    isWithheld(record)
      ? { sequence, subject, signature, sha256: record.sha256 }
      : { sequence, subject, signature, bytes: Buffer.from(record.bytes).toString('base64') },
  );
};

/** The lines of `events.jsonl`, each with its line end: the header, then every message in the log's order. */
export function* writeEventRecords(header: LogHeader, records: Iterable<LogRecord>): Generator<string> {
  yield `${spellHeader(header)}\n`;
  for (const record of records) yield `${spellRecord(record)}\n`;
}

const readHeader = (text: string): LogHeader => {
  const { fleet, epoch, size, note } = Header.parse(JSON.parse(text));
  return { fleet, epoch, size, note };
};

const readRecord = (text: string): LogRecord => {
  const { sequence, subject, signature, ...rest } = Record.parse(JSON.parse(text));
  const head = { sequence, subject, signature };
  return 'sha256' in rest
    ? { ...head, sha256: rest.sha256 }
    : { ...head, bytes: Buffer.from(rest.bytes, 'base64') };
};

// Otherwise invalid UTF-8 or a byte order mark would decode to the same text as a valid spelling.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads a line, and accepts only its one spelling: written again, it has to be the same byte for byte. */
const readLine = <Value extends object>(
  bytes: Uint8Array,
  line: number,
  read: (text: string) => Value,
  spell: (value: Value) => string,
): Value | BadRecord => {
  try {
    const text = utf8.decode(bytes);
    const value = read(text);
    if (spell(value) === text) return value;
    return { line, why: `line ${line} is not spelt as an export spells it` };
  } catch {
    return { line, why: `line ${line} is not what an export writes there` };
  }
};

const newline = 0x0a;

/** Reads an `events.jsonl`. A line that {@link writeEventRecords} would not write becomes a bad record in its place. */
export const readEventRecords = (file: Uint8Array): ExportedLog => {
  const endOf = (start: number): number => {
    const end = file.indexOf(newline, start);
    return end < 0 ? file.length : end;
  };
  const cut = (line: number): BadRecord => ({ line, why: `the file ends within line ${line}` });
  const first = endOf(0);
  const header =
    first === file.length ? cut(1) : readLine(file.subarray(0, first), 1, readHeader, spellHeader);
  function* records(): Generator<LogRecord | BadRecord> {
    let line = 2;
    for (let start = first + 1; start < file.length; line += 1) {
      const end = endOf(start);
      yield end === file.length
        ? cut(line)
        : readLine(file.subarray(start, end), line, readRecord, spellRecord);
      start = end + 1;
    }
  }
  return { header, records: { [Symbol.iterator]: records } };
};
