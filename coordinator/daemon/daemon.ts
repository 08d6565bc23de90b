import { setTimeout as sleep } from 'node:timers/promises';
import { connectedClock, type LogConnection } from '../../eventlog/connection/connect.ts';
import { serverTime } from '../../eventlog/connection/server-time.ts';
import { failpoint } from '../../eventlog/failpoint.ts';
import { listenForPresence } from '../../eventlog/live/presence.ts';
import { createSayOnce } from '../../eventlog/say-once.ts';
import type { KeptMessage, LoggedEvent, RefusedMessage } from '../../eventlog/signing/check-event.ts';
import type { DaemonKey } from '../../eventlog/signing/daemon-key.ts';
import { createKeyHistory } from '../../eventlog/signing/key-history.ts';
import { EventTooLarge, type SealedEvent } from '../../eventlog/signing/seal.ts';
import { trustIn } from '../../eventlog/signing/trust.ts';
import { AppendConflict, appendEvent, EventLog } from '../../eventlog/stream/event-log.ts';
import { LogTree } from '../../eventlog/tree/log-tree.ts';
import { coordinator, isPerson, type NewEvent, noIteration } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import { type Command, decide } from '../decider/decide.ts';
import { evolve, passOver } from '../decider/evolve.ts';
import { lastingApprovals } from '../decider/graph.ts';
import { initialState, type State } from '../decider/state.ts';
import { checkpointsDue } from './checkpoints.ts';
import { openLogCopy } from './log-copy.ts';
import { createSayAgain, type NextAgain } from './say-again.ts';
import { sealDecided } from './seal-decided.ts';
import { createTender } from './tend-consumers.ts';
import { createOpenSince, expired, overdue } from './time-limits.ts';

export interface DaemonOptions extends DaemonKey {
  connection: LogConnection;
  fleet: Fleet;
  /** Where to keep the copy of the log. Without it, a cut is noticed only while this process lasts. */
  copyFile?: string | undefined;
  /** For the daemon's own log. */
  say: (text: string) => void;
  signal: AbortSignal;
}

const lookAtClockEveryMs = 1_000;
const tendEveryMs = 2_000;
const againAfterMs = 500;

/**
 * Follows the log, folds it, and appends what `decide` makes of it, until `signal` fires. It remembers nothing that
 * decides: killed anywhere and started again it asks for the same things, and the log refuses the repeats. A log that is
 * gone, or does not answer, is waited for.
 */
export const runCoordinator = async ({
  connection,
  fleet,
  key,
  former,
  copyFile,
  say,
  signal,
}: DaemonOptions): Promise<void> => {
  let state: State = initialState;
  const trust = trustIn(fleet);
  let keys = createKeyHistory(trust);
  const log = new EventLog(connection, trust);
  const copy = openLogCopy(copyFile, say);
  const sayAgain = createSayAgain(copy, trust, say);
  const tender = createTender(connection, fleet, () => log.lastSequence(), say);
  const lastSeen = new Map<string, number>();
  const clock = connectedClock(connection);
  const stopListening = listenForPresence(connection, fleet.fleet, (presence) => {
    lastSeen.set(presence.host, clock.now());
    tender.hear(presence, clock.now());
    if (presence.checkpoint) knownBy.set(presence.host, presence.checkpoint);
  });
  const startedAt = clock.now();
  let openSince = createOpenSince();
  const [reading, appending] = [createSayOnce(say), createSayOnce(say)];
  const [copying, judging, sealing] = [createSayOnce(say), createSayOnce(say), createSayOnce(say)];
  const [taken, forking] = [createSayOnce(say), createSayOnce(say)];
  /** While the log answered nobody, no outcome could arrive: limits begin anew. */
  const countAnew = () => {
    openSince = createOpenSince();
  };
  let serverNow = 0;
  let tree = new LogTree();
  /** The message at hand, and the one that began this epoch of the log. */
  let [atHand, restored] = [undefined as KeptMessage | undefined, undefined as KeptMessage | undefined];
  /** The epoch in which the log was found to be another one than was signed before. */
  let forked: number | undefined;
  let forkSays = '';
  const knownBy = new Map<string, { epoch: number; size: number }>();
  /** Whether the log still has to be told that this writer has another key. */
  const owesRotation = () => former !== undefined && keys.inUse(coordinator) === former.publicKey;
  const ownKey = () => (former && owesRotation() ? former : key);
  const making = () => ({
    fleet: fleet.fleet,
    key: ownKey(),
    tree,
    restored,
    knownBy: (host: string) => knownBy.get(host),
  });
  /** The state holds all that the log held when it was asked last; nothing is decided before. */
  let caughtUpWith = Number.POSITIVE_INFINITY;

  const wholeLog = async (): Promise<number> => {
    for (;;)
      try {
        return await log.lastSequence();
      } catch (error) {
        if (signal.aborted || connection.isClosed()) throw error;
        reading.trouble(error, 'waits for the log: ');
        await sleep(againAfterMs, undefined, { signal });
      }
  };

  /** The copy is a cache: what goes wrong with it stops nothing. */
  const withCopy = (use: () => void) => {
    try {
      use();
    } catch (error) {
      copying.trouble(error, 'the copy of the log can not be kept: ');
    }
  };
  const tellCut = () => {
    say(
      `the log was cut: it no longer holds what it held, and ${copy.missing().length} of its events are gone; it is folded anew`,
    );
    tender.cut();
  };

  /** Appends an event. Gives its sequence, if it was; `taken` if its subject holds what does not count, for ever. */
  const append = async (sealed: SealedEvent, type: string): Promise<number | 'taken' | undefined> => {
    const decidedAt = state.sequence;
    try {
      failpoint(coordinator, `before ${type}`);
      const appended = await appendEvent(connection, sealed, decidedAt);
      failpoint(coordinator, `after ${type}`);
      if (appended.outcome === 'there' && appended.sequence <= decidedAt) {
        const there = `${sealed.subject} is there, at sequence ${appended.sequence}, and does not count: see ka audit --verify`;
        taken.trouble(new Error(there), 'ALARM: ');
        return 'taken';
      }
      if (appending.over()) countAnew();
      return appended.outcome === 'appended' ? appended.sequence : undefined;
    } catch (error) {
      if (error instanceof AppendConflict) {
        taken.trouble(error, 'ALARM: ');
        return 'taken';
      }
      if (!signal.aborted) appending.trouble(error, `${sealed.subject} could not be appended: `);
      return undefined; // the next look at the clock decides again
    }
  };

  const seal = (event: NewEvent) =>
    sealDecided(event, { fleet: fleet.fleet, name: coordinator, key: ownKey() }, state);

  /**
   * Appends the first event that the command makes of the state as it is, and that can be appended: one iteration that can't go
   * on stops no other. Gives its sequence, if one was appended.
   */
  const decideOnce = async (command: Command): Promise<number | undefined> => {
    for (const event of decide(command, state)) {
      let sealed: SealedEvent;
      try {
        sealed = seal(event);
      } catch (error) {
        if (!(error instanceof EventTooLarge)) throw error;
        // One host's endless evidence stops its own iteration, and no other.
        sealing.trouble(error, 'ALARM: nothing can be asked: ');
        continue;
      }
      const appended = await append(sealed, event.type);
      if (appended !== 'taken') return appended;
    }
    return undefined;
  };

  const nextAgain = (now: number): NextAgain => {
    let next: NextAgain = { do: 'decide' };
    withCopy(() => {
      next = sayAgain(state, now);
    });
    return next;
  };

  const advanceOnce = async () => {
    const now = clock.now();
    const again = nextAgain(now);
    if (again.do === 'wait') return;
    if (forked !== undefined) return void forking.trouble(new Error(forkSays), 'ALARM: ');
    const inUse = keys.inUse(coordinator);
    if (inUse !== ownKey().publicKey) {
      const told = `the key ${ownKey().publicKey} is not the coordinator's any more, that is ${inUse ?? 'none'}: nothing is asked for; see: ka key show`;
      return void forking.trouble(new Error(told), 'ALARM: ');
    }
    if (again.do === 'append') {
      const [, , , , type = ''] = again.event.subject.split('.');
      const appended = await append(again.event, type);
      if (typeof appended === 'number') caughtUpWith = appended;
      return;
    }
    if (owesRotation()) {
      const said = keys.rotationTo(coordinator, key);
      const sequence = await append(
        seal({ type: 'KeyRotated', iteration: noIteration, ...said }),
        'KeyRotated',
      );
      if (typeof sequence === 'number') caughtUpWith = sequence;
      if (sequence !== undefined) return;
    }
    const since = openSince(state, now);
    const late = overdue(state, {
      now,
      fleet,
      lastSeen: (host) => lastSeen.get(host) ?? startedAt,
      openSince: since,
      isUnknownTo: tender.isUnknownTo(since),
    });
    const decisions = [...expired(state, serverNow), ...late, { do: 'Advance' } as const];
    for (const command of decisions.concat(checkpointsDue(state, making()))) {
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
          // What is said while the server is away would be sent once it is back, when it may not be true any more.
          if (state.sequence >= caughtUpWith && clock.runs()) await advanceOnce();
          judging.over();
        }
      } catch (error) {
        judging.trouble(error, 'ALARM: nothing could be decided: ');
      } finally {
        isDeciding = false;
      }
    })();
  };

  let tending: Promise<void> | undefined;
  /** Approvals end by the server's clock: it is asked only while one may. */
  const askTheTime = async () => {
    if (![...state.iterations.values()].some((one) => lastingApprovals(one).length > 0)) return;
    const now = await serverTime(connection).catch(() => undefined);
    serverNow = now?.getTime() ?? serverNow;
  };
  /** An event that was acked and lost before it came back is waited for no longer. */
  const lookForEnd = async () => {
    const last = await log.lastSequence().catch(() => undefined);
    if (last === undefined || last >= caughtUpWith || caughtUpWith === Number.POSITIVE_INFINITY) return;
    caughtUpWith = last;
    advance();
  };
  const tend = () => {
    if (!clock.runs()) return;
    if (state.sequence < caughtUpWith) return void lookForEnd();
    const now = clock.now();
    if (tending !== undefined) return;
    tending = Promise.all([tender.look(state, openSince(state, now), now), askTheTime()])
      .then(() => undefined)
      .finally(() => {
        tending = undefined;
      });
  };

  /** Whether the message at hand is new to the copy. */
  let isNew = false;
  const onMessage = (message: KeptMessage) => {
    if (reading.over()) {
      say('the log answers again');
      countAnew();
    }
    atHand = message;
    if (message.sequence === tree.size + 1) tree.add(message);
    withCopy(() => {
      const kept = copy.keep(message);
      isNew = kept !== 'known';
      if (kept === 'cut') tellCut();
    });
  };
  /** The log ended there when it was asked. What the copy has beyond it is lost. */
  const endsAt = (last: number) => {
    caughtUpWith = last;
    withCopy(() => {
      if (!copy.endsAt(last)) tellCut();
    });
  };
  const onCut = (last: number) => {
    state = initialState;
    tree = new LogTree();
    [restored, forked] = [undefined, undefined];
    keys = createKeyHistory(trust);
    countAnew();
    tender.cut();
    endsAt(last);
  };
  /** What this coordinator has signed before has to be what it reads now, unless a person has restored the log since. */
  const lookForFork = ({ event, sequence }: LoggedEvent) => {
    if (event.kind !== 'fleet') return;
    if (event.type === 'LogRestored') {
      restored = atHand;
      if (forked !== undefined && forked < event.data.epoch) forked = undefined;
    }
    if (event.type !== 'Checkpointed') return;
    const { size, root } = event.data;
    const now = size <= tree.size ? Buffer.from(tree.rootAt(size)).toString('base64') : 'nothing';
    if (now === root) return;
    forked = event.epoch ?? 1;
    forkSays = `the log was rewritten: at ${size} events its head was ${root}, signed at sequence ${sequence}, and is ${now} now; nothing is asked for any more; next: ka audit --verify, then ka log restore`;
  };
  const onEvent = (logged: LoggedEvent) => {
    state = evolve(state, logged);
    lookForFork(logged);
    keys.note(logged.event, logged.sequence);
    // A person has put the log together again: what is not in it by now is given up.
    if (isNew && logged.event.type === 'LogRestored' && isPerson(logged.event.source))
      withCopy(() => copy.forgetLost());
    advance();
  };
  const onRefused = ({ sequence, subject, why }: RefusedMessage) => {
    say(`ALARM: sequence ${sequence}, ${subject}: ${why}; nothing is made of it`);
    state = passOver(state, sequence);
    advance();
  };
  const onAlarm = ({ sequence, subject, why }: RefusedMessage) =>
    say(`ALARM: sequence ${sequence}, ${subject}: ${why}; see: ka audit --verify`);
  const timers = [setInterval(advance, lookAtClockEveryMs), setInterval(tend, tendEveryMs)];
  try {
    endsAt(await wholeLog());
    say(`follows fleet ${fleet.fleet}, ${caughtUpWith} events so far`);
    const onTrouble = (error: unknown) => reading.trouble(error, 'waits for the log: ');
    await log.follow({ signal, onRefused, onAlarm, onMessage, onCut, onTrouble }, onEvent);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    for (const timer of timers) clearInterval(timer);
    clock.stop();
    stopListening();
    await Promise.all([deciding, tending]);
    withCopy(() => copy.close());
  }
};
