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

/** The coordinator's key, and its former key if the log may not know of the new one yet. */
export interface OwnKeys {
  key: WriterKey;
  former: WriterKey | undefined;
}

/** What the next move depends on besides the log itself. */
export interface Circumstances extends OwnKeys {
  fleet: Fleet;
  /** What has to be done first about events that the log has lost. */
  again: NextAgain;
  /** Present if time limits are to be checked. */
  stopwatch: Omit<Stopwatch, 'fleet'> | undefined;
  /** The time of the log's server, in milliseconds since 1970; 0 until it was first asked. */
  serverNow: number;
  /** The checkpoint of the log that a host reports to know. */
  knownBy: (host: string) => { epoch: number; size: number } | undefined;
}

/** What the coordinator does next. */
export type Move =
  | { do: 'wait' }
  /** The coordinator asks for nothing, for this reason. */
  | { do: 'alarm'; says: string }
  /** One of the coordinator's lost events goes back, byte for byte. */
  | { do: 'append'; event: SealedEvent }
  /** The coordinator announces its new key in the log before it decides anything else. */
  | { do: 'rotate'; event: NewEvent }
  /** These commands are decided in their order, until one produces an event; those that time calls for come first. */
  | { do: 'decide'; overdue: Command[]; commands: Iterable<Command>; says?: string };

/** Whether the coordinator still has to announce its new key in the log. */
const owesRotation = ({ keys }: LogView, { former }: OwnKeys): boolean =>
  former !== undefined && keys.inUse(coordinator) === former.publicKey;

/** The key that signs the coordinator's next event. */
export const signingKey = (view: LogView, own: OwnKeys): WriterKey =>
  own.former && owesRotation(view, own) ? own.former : own.key;

/** The reason why this coordinator may not ask for anything at all, if there is one. */
const standstill = (view: LogView, own: OwnKeys): string | undefined => {
  if (view.fork) return view.fork.says;
  const inUse = view.keys.inUse(coordinator);
  const { publicKey } = signingKey(view, own);
  return inUse === publicKey
    ? undefined
    : `${publicKey} is no longer the coordinator's key; the key in use is ${inUse ?? 'none'}: nothing is asked for; see: ka key show`;
};

/** Reports the iterations that a newer coordinator accepted under rules that this one does not know. */
const beyondUs = ({ state }: LogView): string | undefined => {
  const unknown = iterationsUnderWay(state).flatMap((iteration) => {
    const names = rules.unknownIn(iteration);
    return names.length > 0 ? [`${iteration.name} (${names.join(', ')})`] : [];
  });
  return unknown.length > 0
    ? `this coordinator does not know the rules of ${unknown.join(', ')}, and decides nothing about them: upgrade the coordinator`
    : undefined;
};

/** The commands that events call for: those of each undecided iteration, then the checkpoints. */
function* commandsDue(view: LogView, circumstances: Circumstances): Iterable<Command> {
  const { fleet, knownBy } = circumstances;
  // Each is made of the state as it is then: events arrive while an earlier one is appended.
  for (const iteration of view.undecided) {
    yield* answerDue(view.state, iteration, fleet);
    yield { do: 'Advance', iteration };
  }
  const { state, tree, restored } = view;
  const key = signingKey(view, circumstances);
  yield* checkpointsDue(state, { fleet: fleet.fleet, key, tree, restored, knownBy });
}

/** What to do next. Pure. */
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
  const commands = commandsDue(view, circumstances);
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
