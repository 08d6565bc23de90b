import type { KnownMessage } from '../../eventlog/stream/known-messages.ts';
import { parseSubject } from '../../schemas/events.ts';
import type { LogCopy } from './log-copy.ts';
import type { GrowingView } from './log-view.ts';

/**
 * The messages of the copy, as the view takes them: those of ended iterations are not read.
 * @throws {Error} what is wrong with the copy. It was reported then, and the copy is made again as the log is read.
 */
export function* beginFrom(
  copy: LogCopy,
  view: Pick<GrowingView, 'takeMessage' | 'pass'>,
  say: (text: string) => void,
): Generator<KnownMessage> {
  try {
    for (const row of copy.known()) {
      view.takeMessage(row, row.leaf);
      if (row.passed) {
        const writer = parseSubject(row.subject)?.writer ?? '';
        view.pass(row.sequence, { writer, seq: row.seq, hash: row.hash }, row.ends);
      }
      yield row;
    }
  } catch (error) {
    say(`the copy is made again from the log: ${error instanceof Error ? error.message : error}`);
    copy.startAnew();
    throw error;
  }
}
