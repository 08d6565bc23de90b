import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { type Trust, trustIn } from '../../eventlog/signing/trust.ts';
import { createVerifier } from '../../eventlog/signing/verifier.ts';
import { isWithheld } from '../../eventlog/tree/log-tree.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { Fleet } from '../../schemas/fleet.ts';
import {
  type BadRecord,
  isBad,
  type LogHeader,
  type LogRecord,
  readEventRecords,
} from '../export/event-records.ts';
import { withheldIn } from '../export/read-export.ts';

/** The folder of the recorded histories. */
const historiesFolder = join(import.meta.dirname, '../../test/histories');
const ending = '.events.jsonl';

/** The names of the recorded histories. */
export const historyNames = (): string[] =>
  readdirSync(historiesFolder)
    .filter((file) => file.endsWith(ending))
    .map((file) => file.slice(0, -ending.length))
    .sort();

export interface RecordedHistory {
  trust: Trust;
  header: LogHeader | BadRecord;
  records: (LogRecord | BadRecord)[];
  /** The iterations of which it holds only hashes. */
  withheld: ReadonlySet<string>;
  /** The history's events, each as its writer signed it. */
  events: LoggedEvent[];
}

/** A history as `ka export` wrote it: the events of one iteration with their signatures, and the fleet's file. */
export const readHistory = (name: string): RecordedHistory => {
  const { header, records } = readEventRecords(readFileSync(join(historiesFolder, `${name}${ending}`)));
  const trust = trustIn(readConfigFile(join(historiesFolder, `${name}.fleet.yaml`), Fleet));
  const all = [...records];
  const verifier = createVerifier(trust);
  const events = all.flatMap((record) => {
    if (isBad(record) || isWithheld(record)) return [];
    const verified = verifier.verify(record);
    return 'logged' in verified ? [verified.logged] : [];
  });
  return { trust, header, records: all, withheld: withheldIn(all), events };
};
