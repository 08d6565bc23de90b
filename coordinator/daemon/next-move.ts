import type { SealedEvent } from '../../eventlog/signing/seal.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import { coordinator, type NewEvent, noIteration } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import type { Command } from '../decider/decide.ts';
import { rules } from '../decider/rules.ts';
import { answerDue } from './answers.ts';
import { checkpointsDue } from './checkpoints.ts';
import type { LogView } from './log-view.ts';
import type { NextAgain } from './say-again.ts';
import { expired, iterationsUnderWay, overdue, type Stopwatch } from './time-limits.ts';

/** The coordinator's key, and the one that it had before where the log still has to be told of the new one. */
export interface OwnKeys {
  key: WriterKey;
  former: WriterKey | undefined;
}

/** What the next move depends on besides the log itself. */
export interface Circumstances extends OwnKeys {
  fleet: Fleet;
  /** What is to be done first about events that the log has lost. */
  again: NextAgain;
  /** Where time is to be looked at. */
  stopwatch: Omit<Stopwatch, 'fleet'> | undefined;
  /** By the clock of the log's server, in milliseconds since 1970; 0 while nobody has asked it. */
  serverNow: number;
  /** What a host says that it knows of the log. */
  knownBy: (host: string) => { epoch: number; size: number } | undefined;
}

/** What the coordinator does next. */
export type Move =
  | { do: 'wait' }
  /** Nothing is asked for, for this reason. */
  | { do: 'alarm'; says: string }
  /** One of its own events goes back as it was. */
  | { do: 'append'; event: SealedEvent }
  /** The log is told of its new key, and then the rest is decided. */
  | { do: 'rotate'; event: NewEvent }
  /** These are decided, in their order, until one makes an event: first what time asks for. */
  | { do: 'decide'; overdue: Command[]; commands: Iterable<Command>; says?: string };

/** Whether the log still has to be told that this writer has another key. */
const owesRotation = ({ keys }: LogView, { former }: OwnKeys): boolean =>
  former !== undefined && keys.inUse(coordinator) === former.publicKey;

/** The key that signs what is written now. */
export const signingKey = (view: LogView, own: OwnKeys): WriterKey =>
  own.former && owesRotation(view, own) ? own.former : own.key;

/** What keeps this coordinator from asking for anything at all. */
const standstill = (view: LogView, own: OwnKeys): string | undefined => {
  if (view.fork) return view.fork.says;
  const inUse = view.keys.inUse(coordinator);
  const { publicKey } = signingKey(view, own);
  return inUse === publicKey
    ? undefined
    : `the key ${publicKey} is not the coordinator's any more, that is ${inUse ?? 'none'}: nothing is asked for; see: ka key show`;
};

/** Iterations that a newer coordinator has accepted under rules that this one does not know. */
const beyondUs = ({ state }: LogView): string | undefined => {
  const unknown = iterationsUnderWay(state).flatMap((iteration) => {
    const names = rules.unknownIn(iteration);
    return names.length > 0 ? [`${iteration.name} (${names.join(', ')})`] : [];
  });
  return unknown.length > 0
    ? `this coordinator does not know the rules of ${unknown.join(', ')}, and decides nothing of it: upgrade the coordinator`
    : undefined;
};

/** What follows from the events alone: of each iteration that somebody spoke of, and then of what hosts are to be told. */
function* commandsDue(view: LogView, own: OwnKeys, { fleet, knownBy }: Circumstances): Iterable<Command> {
  const { state, tree, restored } = view;
  for (const iteration of view.undecided) {
    yield* answerDue(state, iteration, fleet);
    yield { do: 'Advance', iteration };
  }
  yield* checkpointsDue(state, { fleet: fleet.fleet, key: signingKey(view, own), tree, restored, knownBy });
}

/** What to do next, as things are: pure. */
export const nextMove = (view: LogView, circumstances: Circumstances): Move => {
  const { again, key, fleet, stopwatch, serverNow } = circumstances;
  if (again.do === 'wait') return { do: 'wait' };
  const says = standstill(view, circumstances);
  if (says !== undefined) return { do: 'alarm', says };
  if (again.do === 'append') return { do: 'append', event: again.event };
  if (owesRotation(view, circumstances)) {
    const said = view.keys.rotationTo(coordinator, key);
    return { do: 'rotate', event: { type: 'KeyRotated', iteration: noIteration, ...said } };
  }
  const commands = commandsDue(view, circumstances, circumstances);
  if (!stopwatch) return { do: 'decide', overdue: [], commands };
  const { state } = view;
  const unknown = beyondUs(view);
  return {
    do: 'decide',
    overdue: [...expired(state, serverNow), ...overdue(state, { ...stopwatch, fleet })],
    commands,
    ...(unknown === undefined ? {} : { says: unknown }),
  };
};
