import { connectedClock } from '../../eventlog/connection/connect.ts';
import { lacksOf } from '../../eventlog/signing/check-event.ts';
import { type LoggedEvent, type NewEvent, personWriter } from '../../schemas/events.ts';
import { makeItWhole } from '../daemon/say-again.ts';
import { evolve } from '../decider/evolve.ts';
import { initialState, type State } from '../decider/state.ts';
import { refusalWords } from '../reading/english/refusals.ts';
import { NoAnswer, Refused } from '../refused.ts';
import type { Session } from './session.ts';

/** A running coordinator answers within a fraction of a second. */
const patienceMs = 10_000;
/** The same including the time in which the log's server is away: it and the coordinator get time to come back. */
const patienceInAllMs = 60_000;
const lookEveryMs = 250;

/** Calls back once there has been no answer for too long. @returns a function that cancels it. */
const losePatience = (session: Session, call: () => void): (() => void) => {
  const clock = connectedClock(session.connection);
  const begun = Date.now();
  let since = clock.now();
  const timer = setInterval(() => {
    if (!clock.runs()) since = clock.now();
    if (clock.now() - since >= patienceMs || Date.now() - begun >= patienceInAllMs) call();
  }, lookEveryMs);
  return () => {
    clearInterval(timer);
    clock.stop();
  };
};

/** The coordinator's answer; undefined while there is none. */
type Answered = 'accepted' | { refused: string } | undefined;

const answerToStart = (state: State, name: string, eventId: string): Answered => {
  if (state.iterations.get(name)?.started.eventId === eventId) return 'accepted';
  const refused = state.starts.get(name)?.refused;
  return refused?.started.eventId === eventId ? { refused: refusalWords(name, refused.reason) } : undefined;
};

const answerToRetry = (state: State, name: string, number: number): Answered => {
  const answered = state.iterations.get(name)?.retryAnswered;
  if (answered?.number !== number) return undefined;
  return answered.refused ? { refused: refusalWords(name, answered.refused) } : 'accepted';
};

const waitFor = async (
  session: Session,
  name: string,
  answerOf: (state: State) => Answered,
): Promise<void> => {
  const stop = new AbortController();
  const begun = Date.now();
  const endPatience = losePatience(session, () => stop.abort());
  let state = initialState;
  let answered: Answered;
  /** The first event with a missing blob: nothing is decided about its iteration until the blob is there. */
  let torn: LoggedEvent | undefined;
  try {
    const onCut = () => {
      [state, torn] = [initialState, undefined];
    };
    const part = await session.log.partOf(name);
    await session.log.follow({ part, signal: stop.signal, onCut }, (logged) => {
      state = evolve(state, logged);
      if (logged.event.iteration !== name) return;
      if (lacksOf(logged).length > 0) torn ??= logged;
      answered = answerOf(state);
      if (answered) stop.abort();
    });
  } finally {
    endPatience();
  }
  if (answered === undefined && torn)
    throw new NoAnswer(
      `the request for ${name} is in the log, but is not answered while ${torn.event.type} of ${torn.event.source} (sequence ${torn.sequence}) is not whole: blob ${lacksOf(torn)[0]?.sha256} is missing; next: ${makeItWhole(torn.event)}`,
    );
  if (answered === undefined)
    throw new NoAnswer(
      `the request for ${name} is in the log, but no coordinator has answered within ${Math.round((Date.now() - begun) / 1000)} s: one answers as soon as it runs; see: ka status ${name}`,
    );
  if (answered !== 'accepted') throw new Refused(answered.refused);
};

/**
 * Waits for the coordinator's answer to a start or a retry that the session's person has asked for.
 * @throws {Refused} if it was refused. @throws {NoAnswer} if no coordinator answers.
 */
export const awaitAnswer = (session: Session, asked: NewEvent): Promise<void> => {
  const { iteration, type, attempt } = asked;
  const eventId = `${personWriter(session.by)}/${iteration}.${type}.${attempt}`;
  return waitFor(session, iteration, (state) =>
    type === 'RetryAsked'
      ? answerToRetry(state, iteration, attempt)
      : answerToStart(state, iteration, eventId),
  );
};
