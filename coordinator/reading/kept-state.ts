import type { Map as PersistentMap } from 'immutable';
import type { KeptAlarms } from '../../eventlog/grouped-alarms.ts';
import type { KnownPlace } from '../../eventlog/stream/event-log.ts';
import { comparedAtOnce } from '../../eventlog/stream/follow-stream.ts';
import { type LoggedEvent, parseEvent } from '../../schemas/events.ts';
import { DamagedCopy } from '../daemon/kept-row.ts';
import { type Aside, asideOf, setAside, takeBack } from '../decider/ended-iterations.ts';
import { initialState, type State } from '../decider/state.ts';
import type { ReaderCopy } from './reader-copy.ts';
import { type SummaryDetails, type SummaryLine, summaryDetails, summaryLine } from './summary.ts';

/** The maps of the state that are kept as they are. The others are made again from what is kept of each iteration. */
const kept = ['starts', 'hosts', 'writers', 'keys', 'underWay', 'checkpoints', 'untold', 'early'] as const;
type KeptMap = (typeof kept)[number];

/** The end of a copy, and what is known there besides the ended iterations. */
interface Place {
  sequence: number;
  maps: Record<KeptMap, [string, unknown][]>;
  numbers: Pick<State, 'epoch' | 'lastEnd' | 'checkpointsTold'>;
  /** The iterations that are folded again from their events, in the order in which they began. */
  open: { name: string; digest: string }[];
  /** How many iterations have ended. */
  ended: number;
  /** The sequences of the events that changed a key. */
  keyChanges: number[];
  /** What is wrong with the log. It is told again whenever the log is read. */
  alarms: KeptAlarms;
}

/** The state at the end of a copy. */
export interface KeptState {
  /** Ended iterations are set aside. */
  state: State;
  /** What is shown of these. */
  shown: Map<string, SummaryLine>;
  keyChanges: number[];
  alarms: KeptAlarms;
  /** From where the log goes on. */
  after: KnownPlace;
}

/** What is kept of an ended iteration. */
interface Shown {
  aside: Aside;
  line: SummaryLine;
}

/** As {@link takeBack}, from the events in a copy. @throws {DamagedCopy} if they are not those that were kept. */
export const takeBackFrom = ({ log }: ReaderCopy, state: State, name: string): State => {
  try {
    return takeBack(state, name, (of) => log.eventsOf(of));
  } catch (cause) {
    throw new DamagedCopy(`the copy of the log does not hold all events of ${name}`, { cause });
  }
};

const withOpen = (copy: ReaderCopy, state: State, { name, digest }: Place['open'][number]): State => {
  // It stands for the iteration until its events were folded.
  const stub = { name, digest } as Aside['iteration'];
  return takeBackFrom(copy, { ...state, ended: state.ended.set(name, stub) }, name);
};

/**
 * The state that a copy holds; undefined if it holds none.
 * @param details whether the lines that are shown are whole summaries. @throws {DamagedCopy} @throws {SqliteError}
 */
export const readKeptState = (copy: ReaderCopy, details: boolean): KeptState | undefined => {
  const text = copy.place();
  if (text === undefined) return undefined;
  const { sequence, maps, numbers, open, ended, keyChanges, alarms } = JSON.parse(text) as Place;
  const mapOf = (name: KeptMap) => [
    name,
    maps[name].reduce(
      (map, [key, value]) => map.set(key, value),
      initialState[name] as PersistentMap<string, unknown>,
    ),
  ];
  let state = {
    ...initialState,
    ...numbers,
    sequence,
    ...(Object.fromEntries(kept.map(mapOf)) as Pick<State, KeptMap>),
  };
  for (const one of open) state = withOpen(copy, state, one);
  const shown = new Map<string, SummaryLine>();
  const all = copy.shown().map((one) => JSON.parse(one) as Shown);
  const more = details ? copy.details().map((one) => JSON.parse(one) as SummaryDetails) : [];
  if (all.length !== ended) throw new DamagedCopy(`the copy of the log holds ${all.length} ends of ${ended}`);
  const [asides, starts] = [state.ended.asMutable(), state.starts.asMutable()];
  for (const [nth, { aside, line }] of all.entries()) {
    const { name } = aside.iteration;
    asides.set(name, aside.iteration);
    starts.set(name, aside.starts);
    shown.set(name, { ...line, ...more[nth] });
  }
  state = { ...state, ended: asides.asImmutable(), starts: starts.asImmutable() };
  const compared = Math.min(comparedAtOnce, sequence);
  const last = copy.log.at(Array.from({ length: compared }, (_, nth) => sequence - compared + 1 + nth));
  const after: KnownPlace = {
    last: last.map(({ sequence: at, hash }) => ({ sequence: at, hash })),
    chains: state.writers,
    keyChanges: copy.log.at(keyChanges).map((row): LoggedEvent => ({ ...row, event: parseEvent(row.bytes) })),
    firstUnder: copy.firstUnder,
  };
  return { state, shown, keyChanges, alarms, after };
};

/** Keeps a state, after every message up to its sequence was kept. */
export const keepState = (
  copy: ReaderCopy,
  read: { state: State; keyChanges: readonly number[]; alarms: KeptAlarms },
): void => {
  let { state } = read;
  for (const [name, iteration] of state.iterations) {
    const aside = asideOf(state, name);
    if (!aside) {
      copy.forgetShown(name);
      continue;
    }
    if (!copy.isShown(name, iteration.digest)) {
      const of: Shown = { aside, line: summaryLine(iteration, state) };
      const details = JSON.stringify(summaryDetails(iteration));
      copy.keepShown(name, iteration.digest, JSON.stringify(of), details);
    }
    state = setAside(state, aside);
  }
  const { ended, iterations, sequence, epoch, lastEnd, checkpointsTold } = state;
  const starts = state.starts.filter((_, name) => !ended.has(name));
  const maps = Object.fromEntries(
    kept.map((name) => [name, [...(name === 'starts' ? starts : state[name])]]),
  ) as Place['maps'];
  const place: Place = {
    sequence,
    maps,
    numbers: { epoch, lastEnd, checkpointsTold },
    open: [...iterations.values()].map(({ name, digest }) => ({ name, digest })),
    ended: ended.size,
    keyChanges: [...read.keyChanges],
    alarms: read.alarms,
  };
  copy.keepPlace(JSON.stringify(place));
};
