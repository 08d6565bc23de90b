import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Session } from '../../coordinator/commands/session.ts';
import { eventLine } from '../../coordinator/reading/event-line.ts';
import { readOutput } from '../../eventlog/live/output.ts';
import { trustNow } from '../../eventlog/signing/trust.ts';
import type { LoggedEvent } from '../../schemas/events.ts';

/** Where a sign is seen: an event in the log, a line of a step's output, a line on the board's console. */
export type SignKind = 'event' | 'output' | 'console';

/** The signs of an iteration and its board, from when the watch begins. */
export interface Signs {
  /** Waits for a sign after the last one that was waited for. @returns the line. @throws {Error} after `withinMs`. */
  wait(kind: SignKind, pattern: RegExp, withinMs: number): Promise<string>;
  /** The last signs of each kind, for a person. */
  last(): string;
  stop(): Promise<void>;
}

const lookEveryMs = 50;

/**
 * @param iteration its events and output are signs, and so are the starts of the board's agent.
 * @param consoleLog the file with the board's serial line.
 */
export const watchSigns = async (session: Session, iteration: string, consoleLog: string): Promise<Signs> => {
  const seen: Record<SignKind, string[]> = { event: [], output: [], console: [] };
  const passed: Record<SignKind, number> = { event: 0, output: 0, console: 0 };
  const stop = new AbortController();
  const { signal } = stop;

  const output = async () => {
    while (!signal.aborted)
      await readOutput(
        session.connection,
        trustNow(session.fleet),
        { iteration },
        { follow: true, signal },
        ({ step, line }) => void seen.output.push(`${step}: ${line}`),
      ).catch(() => sleep(lookEveryMs));
  };
  const before = (await session.read()).events.length;
  const isBoardStart = ({ type, source }: LoggedEvent['event']) =>
    type === 'AgentStarted' && source.endsWith('fresnel');
  const events = async () => {
    for (; !signal.aborted; await sleep(200)) {
      const log = await session.read().catch(() => undefined);
      const of =
        log?.events
          .slice(before)
          .filter(({ event }) => event.iteration === iteration || isBoardStart(event)) ?? [];
      seen.event.push(...of.slice(seen.event.length).map(({ event }) => `${event.type} ${eventLine(event)}`));
    }
  };
  const file = await open(consoleLog, 'a+');
  const console_ = async () => {
    const { size } = await file.stat();
    let [at, rest] = [size, ''];
    for (; !signal.aborted; await sleep(lookEveryMs)) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(65_536), 0, 65_536, at);
      at += bytesRead;
      const lines = (rest + buffer.toString('latin1', 0, bytesRead)).split(/\r?\n/);
      rest = lines.pop() ?? '';
      seen.console.push(...lines);
    }
  };
  const watching = Promise.all([output(), events(), console_()]);

  const last = () =>
    Object.entries(seen)
      .map(([kind, lines]) => `${kind}: ${lines.slice(-3).join(' | ')}`)
      .join('\n');
  return {
    wait: async (kind, pattern, withinMs) => {
      for (const until = Date.now() + withinMs; ; await sleep(lookEveryMs)) {
        signal.throwIfAborted();
        const at = seen[kind].findIndex((line, index) => index >= passed[kind] && pattern.test(line));
        const found = seen[kind][at];
        if (found !== undefined) {
          passed[kind] = at + 1;
          return found;
        }
        if (Date.now() > until)
          throw new Error(`no ${kind} like ${pattern} within ${withinMs / 1000} s; the last were\n${last()}`);
      }
    },
    last,
    stop: async () => {
      stop.abort();
      await watching;
      await file.close();
    },
  };
};
