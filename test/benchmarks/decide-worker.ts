import { checkpointDue } from '../../coordinator/decider/checkpoint-due.ts';
import { decide } from '../../coordinator/decider/decide.ts';
import { asideOf, passEnd } from '../../coordinator/decider/ended-iterations.ts';
import { evolve } from '../../coordinator/decider/evolve.ts';
import { initialState, type State } from '../../coordinator/decider/state.ts';
import { exampleFleet } from '../../coordinator/testing/example-plan.ts';
import { RecordedLog } from '../../coordinator/testing/recorded-log.ts';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { type LoggedEvent, noIteration, parseEvent } from '../../schemas/events.ts';
import { median } from './benchmark.ts';
import { createCopies, planOf, playIteration, type Written } from './played-iteration.ts';

// Measures how long one event takes in a state of that size: decide-worker BOARDS CLOSED STATES. Prints microseconds. Small
// states are measured many at once, so that as many iterations take their turn as in a large one: with only ten of them,
// the processor's caches would be measured.
const [boards = 0, closed = 0, states = 1] = process.argv.slice(2).map(Number);

const boardNames = Array.from({ length: boards }, (_, nth) => `board-${nth}`);
const board = { role: 'board', ...exampleFleet.hosts.fresnel } as NonNullable<
  (typeof exampleFleet.hosts)['fresnel']
>;
const fleet = {
  ...exampleFleet,
  hosts: { ...exampleFleet.hosts, ...Object.fromEntries(boardNames.map((name) => [name, board])) },
};

const read = (message: KeptMessage): LoggedEvent => ({ ...message, event: parseEvent(message.bytes) });

/** The state with that many ended iterations, as the coordinator keeps them. */
const withClosed = (state: State): State => {
  const { state: played } = playIteration(planOf('closed', 'fresnel'), fleet);
  const aside = JSON.stringify(asideOf(played, 'closed'));
  return Array.from({ length: closed }, (_, nth) => aside.replaceAll('"closed"', `"closed-${nth}"`))
    .map((text) => JSON.parse(text.replace(/"status":"closed-\d+"/, '"status":"closed"')))
    .reduce(passEnd, state);
};

/** Adds an iteration on each board, in which the build is done. @returns the state before, and the event of each build. */
const makeState = (): { state: State; next: { iteration: string; logged: LoggedEvent }[] } => {
  const log = new RecordedLog();
  let state = withClosed(initialState);
  const append = ({ writer, event }: Written) => {
    state = evolve(state, read(log.append(writer, event)));
  };
  for (const [host, { role }] of Object.entries(fleet.hosts)) {
    const data = { role, version: '1', bootId: 'b', release: 'r', package: null };
    append({ writer: host, event: { type: 'AgentStarted', iteration: noIteration, attempt: 1, data } });
  }
  const copy = createCopies(fleet);
  const builds = boardNames.map((name, nth) => {
    const written = copy(`iter${nth}`, name);
    const built = written.findIndex(({ event }) => event.type === 'BuildSucceeded');
    for (const each of written.slice(0, built)) append(each);
    return written[built];
  });
  let told = 0;
  for (const host of Object.keys(fleet.hosts)) state = evolve(state, read(log.checkpoint(host, ++told)));
  const next = builds.flatMap((built) =>
    built ? { iteration: built.event.iteration, logged: read(log.seal(built.writer, built.event)) } : [],
  );
  return { state, next };
};

const made = Array.from({ length: states }, makeState);
const events = made.reduce((sum, { next }) => sum + next.length, 0);

const decideNext = (state: State, { iteration, logged }: ReturnType<typeof makeState>['next'][number]) => {
  const after = evolve(state, logged);
  const [decided] = decide({ do: 'Advance', iteration }, after);
  if (decided?.type !== 'PublishRequested' || checkpointDue(after).length > 0)
    throw new Error(`after ${iteration}'s build this is decided: ${JSON.stringify(decided)}`);
};

/** What the coordinator does with each event. @returns microseconds an event. */
const measure = (): number => {
  const started = performance.now();
  for (const { state, next } of made) for (const one of next) decideNext(state, one);
  return ((performance.now() - started) * 1000) / events;
};

const warmUp = 5;
const taken = Array.from({ length: warmUp + 15 }, measure).slice(warmUp);
process.stdout.write(String(median(taken)));
