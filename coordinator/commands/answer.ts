import { type NewEvent, personWriter } from '../../schemas/events.ts';
import { evolve } from '../decider/evolve.ts';
import { initialState, type State } from '../decider/state.ts';
import { refusalWords } from '../reading/english/refusals.ts';
import { NoAnswer, Refused } from '../refused.ts';
import type { Session } from './session.ts';

/** A running coordinator answers within a fraction of a second. */
const patienceMs = 10_000;

/** What the coordinator has answered; undefined while it has not. */
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
  const timer = setTimeout(() => stop.abort(), patienceMs);
  let state = initialState;
  let answered: Answered;
  try {
    const onCut = () => {
      state = initialState;
    };
    await session.log.follow({ signal: stop.signal, onCut }, (logged) => {
      state = evolve(state, logged);
      if (logged.event.iteration !== name) return;
      answered = answerOf(state);
      if (answered) stop.abort();
    });
  } finally {
    clearTimeout(timer);
  }
  if (answered === undefined)
    throw new NoAnswer(
      `what was asked of ${name} stands in the log, and no coordinator has answered within ${patienceMs / 1000} s: it will once one runs; see: ka status ${name}`,
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
