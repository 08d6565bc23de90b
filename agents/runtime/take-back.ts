import { type NewEvent, noIteration, stepEvent, stepEventType } from '../../schemas/events.ts';
import { lastStart } from './compare-with-log.ts';
import type { DurableWatch } from './durable-watch.ts';
import type { Journal } from './journal/journal.ts';
import type { Outbox } from './outbox.ts';
import type { OwnLog } from './own-log.ts';

interface Lacking {
  host: string;
  journal: Journal;
  outbox: Pick<Outbox, 'put'>;
  log: OwnLog;
  durable: Pick<DurableWatch, 'hasHandedAll'>;
  /** Returns what the host has to report unasked. */
  report: () => Promise<NewEvent | undefined>;
}

export const lackTrouble =
  'the journal was lost, or is an old copy: nothing is begun until the log has shown what this host had done';

/**
 * Rebuilds a journal that was lost, or is an old copy, from what the log holds: the host's starts and outcomes. An
 * attempt that was requested before the loss, and has no outcome in the log, has failed: nobody knows what it did, and
 * it is never run again blindly. If this is cut anywhere, it is done again.
 * @returns false until all of the host's messages have been redelivered: an attempt may be superseded after its
 * request.
 */
export const settleLack = async ({
  host,
  journal,
  outbox,
  log,
  durable,
  report,
}: Lacking): Promise<boolean> => {
  if (!durable.hasHandedAll()) return false;
  /** Whether the log holds this event. If so, it is also put into the journal. */
  const isThere = async (event: Parameters<OwnLog['subject']>[0]): Promise<boolean> => {
    const subject = log.subject(event);
    if (journal.outbox.has(subject)) return true;
    const there = await log.read(subject);
    if (there) journal.outbox.takeBack(there);
    return there !== undefined;
  };
  for (const { iteration, step, attempt } of journal.requests.all()) {
    await isThere({ iteration, attempt, type: 'DeadlinePassed' });
    for (const fact of ['Succeeded', 'Failed'] as const)
      if (await isThere({ iteration, attempt, type: stepEventType(step, fact) }))
        journal.requests.end({ iteration, step, attempt });
  }
  // The request that the report is about may not be redelivered.
  const told = await report();
  if (told) await isThere(told);
  for (let number = lastStart(journal, log.startPrefix); number > 0; number -= 1) {
    await isThere({ iteration: noIteration, attempt: number, type: 'AgentStarted' });
  }
  for (const { iteration, step, attempt, eventId, sequence, state } of journal.requests.all()) {
    if (state !== 'open' || (sequence !== null && sequence > journal.marks.bornAt())) continue;
    const request = { iteration, step, attempt };
    const reason = `${host}'s journal was lost, or is an old copy, and with it what this attempt of ${step} had done: look at ${host}, then ask again`;
    const begun = [...journal.effects.begun(request), 'unknown'];
    const head = { iteration, attempt, causationid: eventId };
    outbox.put(stepEvent(step, 'Failed', head, { fault: 'host', reason, output: [], begun }), request);
  }
  journal.marks.noteSettled();
  return true;
};
