import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import type { SealedEvent } from '../../eventlog/signing/seal.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import { coordinator, type NewEvent, noIteration } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import type { Command } from '../decider/decide.ts';
import { rules } from '../decider/rules.ts';
import { answersDue } from './answers.ts';
import { checkpointsDue } from './checkpoints.ts';
import type { LogView } from './log-view.ts';
import type { NextAgain } from './say-again.ts';
import { expired, overdue, type Stopwatch } from './time-limits.ts';

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
  stopwatch: Omit<Stopwatch, 'fleet'>;
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
  /** These are decided, in their order, until one makes an event. */
  | { do: 'decide'; commands: Command[]; says?: string };

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
  const unknown = [...state.iterations.values()].flatMap((iteration) => {
    const names = iteration.ended ? [] : rules.unknownIn(iteration);
    return names.length > 0 ? [`${iteration.name} (${names.join(', ')})`] : [];
  });
  return unknown.length > 0
    ? `this coordinator does not know the rules of ${unknown.join(', ')}, and decides nothing of it: upgrade the coordinator`
    : undefined;
};

/** What to do next, as things are: pure. */
export const nextMove = (view: LogView, circumstances: Circumstances): Move => {
  const { again, key, fleet, stopwatch, serverNow, knownBy } = circumstances;
  if (again.do === 'wait') return { do: 'wait' };
  const says = standstill(view, circumstances);
  if (says !== undefined) return { do: 'alarm', says };
  if (again.do === 'append') return { do: 'append', event: again.event };
  if (owesRotation(view, circumstances)) {
    const said = view.keys.rotationTo(coordinator, key);
    return { do: 'rotate', event: { type: 'KeyRotated', iteration: noIteration, ...said } };
  }
  const { state, tree } = view;
  const restored: KeptMessage | undefined = view.restored;
  const making = { fleet: fleet.fleet, key: signingKey(view, circumstances), tree, restored, knownBy };
  const commands: Command[] = [
    ...answersDue(state, fleet),
    ...expired(state, serverNow),
    ...overdue(state, { ...stopwatch, fleet }),
    { do: 'Advance' },
    ...checkpointsDue(state, making),
  ];
  const unknown = beyondUs(view);
  return { do: 'decide', commands, ...(unknown === undefined ? {} : { says: unknown }) };
};
