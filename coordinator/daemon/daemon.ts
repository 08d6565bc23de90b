import { type Alarms, createAlarms } from '../../eventlog/grouped-alarms.ts';
import { createSayOnce, type SayOnce } from '../../eventlog/say-once.ts';
import type { KeptMessage, RefusedMessage } from '../../eventlog/signing/check-event.ts';
import { faultAlarm, refusedAlarm } from '../../eventlog/signing/log-alarms.ts';
import type { Again } from '../../eventlog/stream/event-log.ts';
import { leafOf } from '../../eventlog/tree/log-tree.ts';
import { coordinator, isPerson, type LoggedEvent } from '../../schemas/events.ts';
import { Coordinator, type DaemonOptions } from './coordinator.ts';
import type { CoordinatorPorts } from './ports.ts';
import { makeItWhole } from './say-again.ts';

const lookAtClockEveryMs = 1_000;
const tendEveryMs = 2_000;
const againAfterMs = 500;

/** The message that was just received, until it is in the copy. */
const createAtHand = (running: Coordinator) => {
  let atHand: { message: KeptMessage; leaf: Uint8Array } | undefined;
  return {
    take(message: KeptMessage): Uint8Array {
      const leaf = leafOf(message);
      atHand = { message, leaf };
      return leaf;
    },
    /** Puts it into the copy. @returns whether it is new there. */
    keep(seq: number): boolean {
      let isNew = false;
      running.withCopy((copy) => {
        if (!atHand) return;
        const kept = copy.keep(atHand.message, seq, atHand.leaf);
        isNew = kept !== 'known';
        if (kept === 'cut') running.tellCut();
      });
      atHand = undefined;
      return isNew;
    },
  };
};

/** How the log's messages reach the coordinator. */
const followReports = (
  running: Coordinator,
  {
    say,
    alarms,
    reading,
    signal,
  }: Pick<CoordinatorPorts, 'say'> & {
    alarms: Alarms;
    reading: SayOnce;
    signal: AbortSignal;
  },
) => {
  const { view, turns, blobs } = running;
  /** The subjects that were already reported: a log that is read again lacks the same blobs. */
  const lacks = new Set<string>();
  const atHand = createAtHand(running);
  return {
    signal,
    known: () => running.known(),
    onMessage: (message: KeptMessage, left: number) => {
      if (reading.over()) {
        say('the log answers again');
        running.countAnew();
      }
      view.takeMessage(message, atHand.take(message));
      running.reaches(message.sequence + left);
    },
    onEvent: (logged: LoggedEvent) => {
      const isNew = atHand.keep(logged.event.writerseq);
      view.takeEvent(logged);
      if (logged.event.source === coordinator) running.withCopy((copy) => copy.noteOwnBlobs(logged.bytes));
      // A person has restored the log: the copy gives up the events that are still missing from it.
      if (isNew && logged.event.type === 'LogRestored' && isPerson(logged.event.source))
        running.withCopy((copy) => copy.forgetLost());
      turns.call();
    },
    onAcknowledged: alarms.acknowledge,
    onRefused: (refused: RefusedMessage) => {
      alarms.note(refusedAlarm(refused));
      atHand.keep(0);
      view.passOver(refused.sequence);
      turns.call();
    },
    onAlarm: (alarm: RefusedMessage) => alarms.note(faultAlarm(alarm)),
    blobs,
    onLack: ({ event, sequence, subject }: LoggedEvent, why: string) => {
      if (!lacks.has(subject))
        say(
          `ALARM: ${event.source}'s ${event.type} of ${event.iteration} (sequence ${sequence}) is not whole: ${why}; nothing is decided about ${event.iteration} until it is; ${makeItWhole(event)}`,
        );
      lacks.add(subject);
    },
    onHeld: () => running.compared(),
    onCut: (last: number, why: Again) => {
      view.reset();
      running.compared();
      running.countAnew();
      if (why === 'cut') running.tender.cut();
      if (why === 'whole')
        say('blobs that were missing are there now: the coordinator reads the log again from the start');
      running.endsAt(last);
    },
    onTrouble: (error: unknown) => reading.trouble(error, 'waits for the log: '),
  };
};

/**
 * Follows the log, folds it, and appends the events that `decide` returns, until `signal` fires. No decision depends on
 * memory outside the log: if it is killed anywhere and started again, it asks for the same things, and the log refuses
 * the repeats. It waits for a log that is gone or does not answer.
 */
export const runCoordinator = async (options: DaemonOptions): Promise<void> => {
  const { ports, fleet, signal } = options;
  const { log, clock, say } = ports;
  const reading = createSayOnce(say);
  const running = new Coordinator(options);
  // What was acknowledged later in the log is no alarm.
  const alarms = createAlarms(say, () => running.isCaughtUp());
  const { onEvent, ...reports } = followReports(running, { say, alarms, reading, signal });
  const stopHearing = log.hear(
    (presence) => {
      running.heard.hear(presence);
      running.tender.hear(presence, clock.now());
    },
    ({ host, ...refused }) =>
      alarms.note({ writer: host, what: `a presence of ${host}`, next: 'it is ignored', ...refused }),
  );
  const timers = [
    clock.every(lookAtClockEveryMs, () => running.lookAtTime()),
    clock.every(tendEveryMs, () => running.tend()),
  ];
  const wholeLog = async (): Promise<number> => {
    for (;;)
      try {
        return await log.lastSequence();
      } catch (error) {
        if (signal.aborted || log.isClosed()) throw error;
        reports.onTrouble(error);
        await clock.sleep(againAfterMs, signal);
      }
  };
  try {
    const last = await wholeLog();
    running.compared();
    running.endsAt(last);
    say(`follows fleet ${fleet.fleet}, ${last} events so far`);
    await log.follow(reports, onEvent);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    for (const stop of timers) stop();
    clock.stop();
    stopHearing();
    alarms.tell();
    await running.settled();
    running.withCopy((copy) => copy.close());
  }
};
