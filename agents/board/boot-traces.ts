import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { FellBack } from '../../schemas/boot.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import { printable } from '../../schemas/printable.ts';

type Traces = BoardConfig['boot']['traces'];

/** A record of pstore is as large as its part of the memory that survives a reset, usually 64 kB. */
const largestRecord = 1024 * 1024;
const longestWords = 300;
/** WDIOF_CARDRESET of linux/watchdog.h: the watchdog has reset the machine. */
const cardReset = 0x20;

/**
 * Reads what kernels printed at their end: the text of each record, by its sha256. systemd-pstore(8) moves the records,
 * so their names prove nothing.
 */
const readRecords = async ({ pstoreFolders }: NonNullable<Traces>): Promise<Map<string, string>> => {
  const found = new Map<string, string>();
  for (const folder of pstoreFolders) {
    const names = await readdir(folder, { recursive: true }).catch(() => []);
    for (const name of names.filter((each) => basename(each).startsWith('dmesg'))) {
      const file = join(folder, name);
      const seen = await stat(file).catch(() => undefined);
      if (!seen?.isFile() || seen.size > largestRecord) continue;
      const bytes = await readFile(file).catch(() => undefined);
      if (bytes) found.set(createHash('sha256').update(bytes).digest('hex'), bytes.toString('latin1'));
    }
  }
  return found;
};

/**
 * The traces that were there before a kernel booted, and so prove nothing about it. Older versions journalled fewer, or
 * none.
 */
export interface EarlierTraces {
  /** The records' sha256. */
  records?: string[];
  /** Whether the watchdog reported that it has reset the machine. Some drivers keep reporting that. */
  watchdog?: boolean;
}

const saysReset = async ({ watchdogStatusFile }: NonNullable<Traces>): Promise<boolean> =>
  (Number((await readFile(watchdogStatusFile, 'utf8').catch(() => '0')).trim()) & cardReset) !== 0;

/** Returns the traces that are there now. None of them is from a kernel that has yet to boot. */
export const earlierTraces = async (traces: Traces): Promise<EarlierTraces> =>
  traces
    ? { records: [...(await readRecords(traces)).keys()], watchdog: await saysReset(traces) }
    : { records: [] };

/** `7.0.0-fourier #2`: a kernel's name in its oops (dump_stack_print_info), taken from its banner. */
const nameInOops = (banner: string): string | undefined => {
  const [, release, build] = /^Linux version (\S+) .*\) (#\S+)/.exec(banner) ?? [];
  return release && `${release} ${build}`;
};

const lastWords = (text: string, pattern: RegExp): string | undefined => {
  const found = pattern.exec(text)?.[0];
  return found === undefined ? undefined : printable(found).trim().slice(0, longestWords);
};

/**
 * Returns how the kernel before this boot ended, by its traces: a record of a panic, or a watchdog that reports a reset
 * of the board. A hang without either, and a power cut, leave no trace.
 * @param earlier The traces that were there before it booted.
 * @param banner The kernel's banner: an oops counts only if it names this kernel.
 * @returns undefined on a board whose config names no traces.
 */
export const howItEnded = async (
  traces: Traces,
  { records: known, watchdog }: EarlierTraces,
  banner: string,
): Promise<FellBack | undefined> => {
  if (!traces) return undefined;
  const records = known ? await readRecords(traces) : new Map<string, string>();
  const texts = [...records].flatMap(([hash, text]) => (known?.includes(hash) ? [] : [text]));
  for (const text of texts) {
    const panic = lastWords(text, /Kernel panic - not syncing[^\n\0]*/);
    if (panic !== undefined) return { how: 'panic', says: panic };
  }
  if (watchdog === false && (await saysReset(traces))) return { how: 'watchdog' };
  const name = nameInOops(banner);
  const oops = texts
    .filter((text) => name !== undefined && text.includes(`${name} `))
    .flatMap((text) => lastWords(text, /(Internal error|Oops|BUG|Unable to handle)[^\n\0]*/) ?? []);
  return { how: 'unknown', ...(oops[0] === undefined ? {} : { says: oops[0] }) };
};
