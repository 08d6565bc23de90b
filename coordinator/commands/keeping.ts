import { type LastKeeping, lastKeeping } from '../../eventlog/live/keeping.ts';
import { printable } from '../../schemas/printable.ts';
import { say } from './options.ts';
import type { Session } from './session.ts';

/** Says on standard error who floods the log and may not publish, and whether nobody watches. */
export const tellKeeping = async ({
  connection,
  fleet,
}: Pick<Session, 'connection' | 'fleet'>): Promise<LastKeeping | undefined> => {
  const last = await lastKeeping(connection, fleet);
  if (last?.doubt !== undefined) say(printable(`ka: ${last.doubt}`));
  for (const { writer, since, why } of last?.silenced ?? [])
    say(
      printable(
        `ka: ALARM: ${writer} has added ${why} to the log, and may not publish since ${since}; next: find out why, then on the log's server: ka fleet readmit ${writer}`,
      ),
    );
  return last;
};
