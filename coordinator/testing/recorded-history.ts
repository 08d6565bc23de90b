import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LoggedEvent } from '../../eventlog/signing/check-event.ts';
import { type Envelope, type NewEvent, parseEvent, subjectOf } from '../../schemas/events.ts';

/** Where the recorded histories are. */
export const historiesFolder = join(import.meta.dirname, '../../test/histories');

/** A history as `ka log --json` printed it: an envelope a line, with its sequence. */
export const readHistory = (name: string): LoggedEvent[] =>
  readFileSync(join(historiesFolder, `${name}.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const { sequence, ...envelope } = JSON.parse(line) as Envelope & { sequence: number };
      const bytes = new TextEncoder().encode(JSON.stringify(envelope));
      const event = parseEvent(bytes);
      const host = event.kind === 'step' && 'host' in event.data ? event.data.host : undefined;
      const named = { ...envelope, ...(host === undefined ? {} : { host }) } as NewEvent;
      return { sequence, subject: subjectOf(envelope.fleet, envelope.source, named), bytes, event };
    });
