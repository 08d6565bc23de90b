import type { LogConnection } from '../eventlog/connect.ts';
import {
  AppendConflict,
  appendEvent,
  EventLog,
  type LoggedEvent,
  type RefusedMessage,
} from '../eventlog/event-log.ts';
import { listenForPresence } from '../eventlog/presence.ts';
import { pinnedKeys } from '../eventlog/seal.ts';
import type { WriterKey } from '../eventlog/writer-key.ts';
import { coordinator } from '../schemas/events.ts';
import type { Fleet } from '../schemas/fleet.ts';
import { type Command, decide } from './decide.ts';
import { evolve, passOver } from './evolve.ts';
import { sealDecided } from './seal-decided.ts';
import { initialState, type State } from './state.ts';
import { overdue } from './time-limits.ts';

export interface DaemonOptions {
  connection: LogConnection;
  fleet: Fleet;
  key: WriterKey;
  /** For the daemon's own log. */
  say: (text: string) => void;
  signal: AbortSignal;
}

const lookAtClockEveryMs = 1_000;

/**
 * Follows the log, folds it, and appends what `decide` makes of it, until `signal` fires. It remembers nothing:
 * killed anywhere and started again it asks for the same things, and the log refuses the repeats.
 */
export const runCoordinator = async ({
  connection,
  fleet,
  key,
  say,
  signal,
}: DaemonOptions): Promise<void> => {
  let state: State = initialState;
  const log = new EventLog(connection, pinnedKeys(fleet));
  const lastSeen = new Map<string, number>();
  const stopListening = listenForPresence(connection, fleet.fleet, ({ host }) =>
    lastSeen.set(host, Date.now()),
  );
  const startedAt = Date.now();
  let caughtUpWith = await log.lastSequence();

  /** Appends the first event that the command makes of the state as it is. Gives its sequence, if one was appended. */
  const decideOnce = async (command: Command): Promise<number | undefined> => {
    const [event] = decide(command, state);
    if (!event) return undefined;
    const sealed = sealDecided(event, { fleet: fleet.fleet, name: coordinator, key }, state);
    try {
      const appended = await appendEvent(connection, sealed, state.sequence);
      return appended.outcome === 'appended' ? appended.sequence : undefined;
    } catch (error) {
      if (error instanceof AppendConflict) say(`ALARM: ${error.message}`);
      else if (!signal.aborted)
        say(`${sealed.subject} could not be appended: ${error instanceof Error ? error.message : error}`);
      return undefined; // the next look at the clock decides again
    }
  };

  const advanceOnce = async () => {
    const late = overdue(state, {
      now: Date.now(),
      fleet,
      lastSeen: (host) => lastSeen.get(host) ?? startedAt,
    });
    for (const command of [...late, { do: 'Advance' } as const]) {
      const sequence = await decideOnce(command);
      if (sequence === undefined) continue;
      caughtUpWith = sequence; // it comes back by the log, and then the rest is decided
      return;
    }
  };

  // One decision at a time, each made of a state that holds everything the log held before it.
  let deciding = Promise.resolve();
  let isDeciding = false;
  let again = false;
  const advance = () => {
    again = true;
    if (isDeciding) return;
    isDeciding = true;
    deciding = (async () => {
      try {
        while (again && !signal.aborted) {
          again = false;
          if (state.sequence >= caughtUpWith) await advanceOnce();
        }
      } catch (error) {
        say(`ALARM: nothing could be decided: ${error instanceof Error ? error.stack : error}`);
      } finally {
        isDeciding = false;
      }
    })();
  };
  const onEvent = (logged: LoggedEvent) => {
    state = evolve(state, logged);
    advance();
  };
  const onRefused = ({ sequence, subject, why }: RefusedMessage) => {
    say(`sequence ${sequence}, ${subject}: ${why}; nothing is made of it`);
    state = passOver(state, sequence);
    advance();
  };
  const clock = setInterval(advance, lookAtClockEveryMs);
  say(`follows fleet ${fleet.fleet}, ${caughtUpWith} events so far`);
  try {
    await log.follow({ signal, onRefused }, onEvent);
  } finally {
    clearInterval(clock);
    stopListening();
    await deciding;
  }
};
