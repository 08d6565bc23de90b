import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { printable } from '../../schemas/printable.ts';
import type { MergedLog } from '../restore/merge-log.ts';
import { print } from './options.ts';

const few = (list: readonly (string | number)[]): string =>
  list.length > 8 ? `${list.slice(0, 8).join(', ')} and ${list.length - 8} more` : list.join(', ');

const countBy = (names: readonly string[]): string => {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} of ${name}`).join(', ') || 'none';
};

/** How many events are known to be missing from every source. There may be more: the newest events leave no gap. */
export const missingCount = ({ missingSequences, missingOf, missingCauses }: MergedLog): number =>
  Math.max(
    missingSequences.length,
    [...missingOf.values()].reduce((sum, gaps) => sum + gaps, 0),
    missingCauses.length,
  );

const tellMerged = (merged: MergedLog): void => {
  const { events, leftOut, missingSequences, missingOf, missingCauses } = merged;
  print(`${events.length} events can be rebuilt`);
  print(`  written by   ${countBy(events.map(({ event }) => event.source))}`);
  print(`  taken from   ${countBy(events.map(({ from }) => from))}`);
  for (const one of leftOut) print(printable(`  left out     ${one}`));
  if (missingCount(merged) === 0) {
    print('nothing is known to be missing');
    return;
  }
  print(`${missingCount(merged)} events or more are missing from every source`);
  if (missingSequences.length > 0) print(`  sequences    ${few(missingSequences)}`);
  for (const [writer, gaps] of missingOf) print(`  of ${writer.padEnd(9)} ${gaps}`);
  if (missingCauses.length > 0) print(printable(`  answered     ${few(missingCauses)}`));
};

/** Reports the events that a restore has found. @param now the present log; undefined if there is none. */
export const tellEvents = (now: readonly KeptMessage[] | undefined, merged: MergedLog): void => {
  print(now ? `the log holds ${now.length} events` : 'there is no log');
  tellMerged(merged);
};

/** The events' blobs that are missing beside the log: those that can be put back, and those that no source has. */
export interface BlobsMissing {
  putBack: string[];
  lost: { subject: string; sha256: string }[];
}

export const tellBlobs = ({ putBack, lost }: BlobsMissing): void => {
  if (putBack.length > 0)
    print(`blobs that are missing beside the log and can be put back: ${putBack.length}`);
  if (lost.length > 0)
    print('some blobs are missing from every source: their events would be restored without them');
  for (const { subject, sha256 } of lost) print(printable(`  lost         ${sha256} of ${subject}`));
};
