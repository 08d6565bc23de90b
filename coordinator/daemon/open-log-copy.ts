import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { createSayOnce } from '../../eventlog/say-once.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { sha256 } from '../../schemas/hash.ts';
import { DamagedCopy } from './kept-row.ts';
import { LogCopy } from './log-copy.ts';

export const isDamaged = (error: unknown): boolean =>
  error instanceof DamagedCopy ||
  (error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code));

/** Names what messages are checked by: every key and right that is pinned, and the version of this program. */
export const checkedBy = ({ fleet, writers }: Trust): string =>
  sha256(Buffer.from(JSON.stringify([packageJson.version, fleet, [...writers].sort()])));

/**
 * Opens the copy. A damaged file is moved aside and replaced by an empty copy. If no file can be opened, the copy lasts
 * as long as this process.
 */
export const openLogCopy = (
  file: string | undefined,
  { trust, say }: { trust: Trust; say: (text: string) => void },
): LogCopy => {
  const by = checkedBy(trust);
  if (file === undefined) return new LogCopy(undefined, by);
  const because = (error: unknown) => (error instanceof Error ? error.message : String(error));
  const keeping = createSayOnce(say);
  const open = () =>
    new LogCopy(file, by, (error) => keeping.trouble(error, `the copy of the log ${file} can't be kept: `));
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    try {
      return open();
    } catch (error) {
      if (!isDamaged(error)) throw error;
      const aside = `${file}.damaged-${Date.now()}`;
      for (const end of ['', '-wal', '-shm']) if (existsSync(file + end)) renameSync(file + end, aside + end);
      say(
        `the copy of the log ${file} can't be used (${because(error)}): it is now ${aside}, and a new one is made from the log`,
      );
      return open();
    }
  } catch (error) {
    say(
      `the copy of the log ${file} can't be opened (${because(error)}): losses of the log are noticed only while this process runs; make room there, then start the coordinator again`,
    );
    return new LogCopy(undefined, by);
  }
};
