import { checkEvent, completeEvent } from '../../eventlog/signing/check-event.ts';
import type { SealedEvent } from '../../eventlog/signing/seal.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { blobsNamedBy } from '../../schemas/blob-marker.ts';
import { coordinator, isPerson, type KaEvent, type LoggedEvent } from '../../schemas/events.ts';
import { decideFacts, isDecidedNow } from '../decider/commands-behind.ts';
import type { State } from '../decider/state.ts';
import type { LogCopy } from './log-copy.ts';
import { type LogView, rootOver } from './log-view.ts';

/** Hosts send lost events again within seconds of noticing the loss. */
const waitForHostsMs = 15_000;

/**
 * Whether the decider would write exactly this fact on the current state, and the event is the coordinator's next one.
 */
const isDueNow = (logged: LoggedEvent, state: State, { tree }: Pick<LogView, 'tree'>): boolean => {
  const { event } = logged;
  // The decider does not decide the root. If hosts came back in another order, the root belongs to another log.
  if (event.kind === 'fleet' && event.type === 'Checkpointed')
    if (rootOver(event.data.size, tree) !== event.data.root) return false;
  const last = state.writers.get(coordinator);
  if (event.writerseq !== (last?.seq ?? 0) + 1 || event.prevhash !== last?.hash) return false;
  return (event.epoch ?? 1) === state.epoch && isDecidedNow(logged, state);
};

/** The command with which a person repeats a lost event. */
const sayItAgain = (event: KaEvent): string => {
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

/** What to do about an event whose blobs can't be read. */
export const makeItWhole = (event: KaEvent): string =>
  isPerson(event.source)
    ? `repeat it (${sayItAgain(event)}), or restore it with: ka log restore --write`
    : `${event.source} puts it back when it runs, unless it has lost it too; then: ka log restore --write, or ka abort ${event.iteration}`;

/** What has to be done about events that the log has lost, before anything new is decided. */
export type NextAgain =
  | { do: 'append'; event: SealedEvent }
  /** Others have to send their lost events first. */
  | { do: 'wait' }
  /** No lost event prevents a decision. */
  | { do: 'decide' };

/** An event of the coordinator's copy that the log no longer holds. */
type LostEvent = LoggedEvent & { signature: string };

/** @returns the events that the log has lost. The copy forgets a lost message that is no valid event. */
const lostEvents = (copy: LogCopy, trust: Trust): LostEvent[] =>
  copy.missing().flatMap((message) => {
    const checked = checkEvent(trust, message);
    const completed = 'logged' in checked ? completeEvent(checked.logged, copy.blob) : checked;
    if ('logged' in completed) return [{ ...completed.logged, signature: message.signature }];
    copy.forget(message.subject);
    return [];
  });

/** Reports the events that only people and hosts can bring back, each once. */
const createTellLost = (say: (text: string) => void) => {
  const told = new Set<string>();
  const tellOnce = ({ subject }: LoggedEvent, text: string) => {
    if (!told.has(subject)) say(text);
    told.add(subject);
  };
  return {
    ofPerson: (lost: LoggedEvent): void =>
      tellOnce(
        lost,
        `ALARM: the log has lost ${lost.event.type} of ${lost.event.iteration}, which a person wrote; nothing is decided until it is back: repeat it (${sayItAgain(lost.event)}), or restore it with: ka log restore --write`,
      ),
    ofHost: (lost: LoggedEvent): void =>
      tellOnce(
        lost,
        `the log has lost ${lost.event.type} of ${lost.event.iteration}, and ${lost.event.source} does not send it again; it is in this coordinator's copy: ka log restore --write brings it back`,
      ),
    over: (): void => told.clear(),
  };
};

/** Own events that can't go back as they were, because the others' events now stand in another order. */
const createDecidedAnew = (copy: LogCopy, say: (text: string) => void) => {
  const ids = new Set<string>();
  return {
    giveUp(own: readonly LoggedEvent[]): void {
      say(
        `${own.map(({ event }) => `${event.type} of ${event.iteration}`).join(', ')} can't go back into the log unchanged: the coordinator decides again from what the log holds now`,
      );
      for (const { subject, event } of own) {
        copy.forget(subject);
        ids.add(event.id);
      }
    },
    /** Whether the decider's next event is one of them. */
    isNext(state: State): boolean {
      const [fact] = decideFacts({ do: 'Advance' }, state).facts;
      return fact !== undefined && ids.has(`${fact.iteration}.${fact.type}.${fact.attempt}`);
    },
    over: (): void => ids.clear(),
  };
};

/** Measures for how long no lost event has come back. Milliseconds of the caller's clock. */
const createStillness = () => {
  let still: { count: number; since: number } | undefined;
  return {
    /** @param count how many events are lost now. @returns for how long this number has not changed. */
    lasts(count: number, now: number): number {
      if (still?.count !== count) still = { count, since: now };
      return now - still.since;
    },
    over: (): void => {
      still = undefined;
    },
  };
};

/**
 * After a cut, the coordinator's own lost events go back in their order and byte for byte, each as soon as the decider
 * would write it. So every chain and every replay stays as it was. Until then nothing else is decided. If hosts came
 * back in another order than before, an event now answers another one, and the coordinator decides it again: the same
 * request, with the same name, which its host knows.
 */
export const createSayAgain = (
  copy: LogCopy,
  trust: Trust,
  say: (text: string) => void,
  view: Pick<LogView, 'tree'>,
): ((state: State, now: number) => NextAgain) => {
  const tellLost = createTellLost(say);
  const anew = createDecidedAnew(copy, say);
  const stillness = createStillness();

  return (state, now) => {
    const lost = lostEvents(copy, trust);
    if (lost.length === 0) {
      tellLost.over();
      anew.over();
      stillness.over();
      return { do: 'decide' };
    }
    const own = lost
      .filter(({ event }) => event.source === coordinator)
      .sort((a, b) => a.event.writerseq - b.event.writerseq);
    const [next] = own;
    if (next && isDueNow(next, state, view)) {
      const { subject, bytes, signature, event } = next;
      const blobs = blobsNamedBy(bytes).flatMap(({ sha256 }) => {
        const kept = copy.blob(sha256);
        return kept ? [{ sha256, bytes: kept }] : [];
      });
      return { do: 'append', event: { subject, bytes, signature, seq: event.writerseq, blobs } };
    }
    const people = lost.filter(({ event }) => isPerson(event.source));
    for (const each of people) tellLost.ofPerson(each);
    const hosts = lost.filter(({ event }) => event.source !== coordinator);
    const waited = stillness.lasts(lost.length, now) >= waitForHostsMs;
    if (waited) for (const each of hosts) tellLost.ofHost(each);
    const areHostsBack = hosts.length === 0 || waited;
    const [firstPerson] = people;
    if (firstPerson) {
      // The person's event may need decisions that came before it.
      const before = own.filter(({ sequence }) => sequence < firstPerson.sequence);
      if (areHostsBack && before.length > 0) anew.giveUp(before);
      return { do: anew.isNext(state) ? 'decide' : 'wait' };
    }
    if (!next) return { do: 'decide' };
    if (!areHostsBack) return { do: 'wait' };
    anew.giveUp(own);
    return { do: 'decide' };
  };
};
