import { checkEvent, completeEvent, type KeptMessage } from '../../eventlog/signing/check-event.ts';
import type { SealedEvent } from '../../eventlog/signing/seal.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { blobsNamedBy } from '../../schemas/blob-marker.ts';
import { coordinator, isPerson, type KaEvent, type LoggedEvent } from '../../schemas/events.ts';
import { decideFacts, isDecidedNow } from '../decider/commands-behind.ts';
import type { State } from '../decider/state.ts';
import type { LogCopy } from './log-copy.ts';

/** Hosts offer again what they wrote within seconds of finding it gone. */
const waitForHostsMs = 15_000;

/** Whether the decider would write this very fact on the state as it is, and it is this writer's next. */
const isDueNow = (logged: LoggedEvent, state: State): boolean => {
  const { event } = logged;
  const last = state.writers.get(coordinator);
  if (event.writerseq !== (last?.seq ?? 0) + 1 || event.prevhash !== last?.hash) return false;
  return (event.epoch ?? 1) === state.epoch && isDecidedNow(logged, state);
};

/** How a person says a lost event again. */
export const sayItAgain = (event: KaEvent): string => {
  const { type, iteration } = event;
  const data = event.data as { by?: string; clause?: string };
  const as = data.by === undefined ? '' : ` --as ${data.by}`;
  switch (type) {
    case 'IterationStarted':
      return 'ka iterate PLAN';
    case 'ReviewApproved':
      return `ka approve ${iteration}${as}`;
    case 'ReviewRejected':
      return `ka reject ${iteration}${as}`;
    case 'ClauseWaived':
      return `ka waive ${iteration} ${data.clause}${as}`;
    case 'RetryAsked':
      return `ka retry ${iteration}${as}`;
    case 'AbortAsked':
      return `ka abort ${iteration}${as}`;
  }
  return 'ka log restore --write';
};

/** What is to be done about events that the log has lost, before anything new is decided. */
export type NextAgain =
  | { do: 'append'; event: SealedEvent }
  /** It is not the moment yet. */
  | { do: 'wait' }
  /** Nothing is lost that stands in the way. */
  | { do: 'decide' };

/**
 * After a cut: the coordinator's own events that the log has lost go back in their order and with their very bytes, each
 * once the decider would write it: so every chain and every replay stays as it was. Until then nothing else is decided.
 * Where hosts have been back in another order than before, an event answers another one now, and is decided anew: the
 * same request, of the same name, which its host knows.
 */
export const createSayAgain = (
  copy: LogCopy,
  trust: Trust,
  say: (text: string) => void,
): ((state: State, now: number) => NextAgain) => {
  const told = new Set<string>();
  const tellOnce = (key: string, text: string) => {
    if (!told.has(key)) say(text);
    told.add(key);
  };
  /** Since when nothing has come back, in milliseconds of the caller's clock. */
  let still: { count: number; since: number } | undefined;
  /** The ids of own events that were given up, to be decided anew. */
  const anew = new Set<string>();
  const decideAnew = (own: readonly LoggedEvent[]) => {
    // What its writers have said again stands in another order now, and these as they were would follow from nothing.
    say(
      `${own.map(({ event }) => `${event.type} of ${event.iteration}`).join(', ')} can't go back into the log as it was: it is decided anew from what the log holds now`,
    );
    for (const { subject, event } of own) {
      copy.forget(subject);
      anew.add(event.id);
    }
  };
  const isDecidedAnewNow = (state: State): boolean => {
    const [fact] = decideFacts({ do: 'Advance' }, state).facts;
    return fact !== undefined && anew.has(`${fact.iteration}.${fact.type}.${fact.attempt}`);
  };

  return (state, now) => {
    const missing = copy.missing();
    if (missing.length === 0) {
      told.clear();
      anew.clear();
      still = undefined;
      return { do: 'decide' };
    }
    const events = missing.flatMap((message: KeptMessage) => {
      const checked = checkEvent(trust, message);
      const completed = 'logged' in checked ? completeEvent(checked.logged, copy.blob) : checked;
      if ('logged' in completed) return [{ ...completed.logged, signature: message.signature }];
      copy.forget(message.subject); // it was no event when it was there
      return [];
    });
    const own = events
      .filter(({ event }) => event.source === coordinator)
      .sort((a, b) => a.event.writerseq - b.event.writerseq);
    const [next] = own;
    if (next && isDueNow(next, state)) {
      const { subject, bytes, signature, event } = next;
      const blobs = blobsNamedBy(bytes).flatMap(({ sha256 }) => {
        const kept = copy.blob(sha256);
        return kept ? [{ sha256, bytes: kept }] : [];
      });
      return { do: 'append', event: { subject, bytes, signature, seq: event.writerseq, blobs } };
    }
    const people = events.filter(({ event }) => isPerson(event.source));
    for (const { event, subject } of people)
      tellOnce(
        subject,
        `ALARM: the log has lost ${event.type} of ${event.iteration}, which a person said; nothing is decided until it is there: say it again (${sayItAgain(event)}), or bring it back with: ka log restore --write`,
      );
    if (still?.count !== events.length) still = { count: events.length, since: now };
    const hosts = events.filter(({ event }) => event.source !== coordinator);
    const waited = now - still.since >= waitForHostsMs;
    if (waited)
      for (const { event, subject } of hosts)
        tellOnce(
          subject,
          `the log has lost ${event.type} of ${event.iteration}, and ${event.source} does not say it again; it is in this coordinator's copy: ka log restore --write brings it back`,
        );
    const areHostsBack = hosts.length === 0 || waited;
    const [firstPerson] = people;
    if (firstPerson) {
      // What was decided before that person spoke may be what the person's word needs.
      const before = own.filter(({ sequence }) => sequence < firstPerson.sequence);
      if (areHostsBack && before.length > 0) decideAnew(before);
      return { do: isDecidedAnewNow(state) ? 'decide' : 'wait' };
    }
    if (!next) return { do: 'decide' };
    if (!areHostsBack) return { do: 'wait' };
    decideAnew(own);
    return { do: 'decide' };
  };
};
