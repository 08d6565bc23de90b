import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import { logOrigin, signCheckpoint } from '../../eventlog/tree/checkpoint.ts';
import type { LogTree } from '../../eventlog/tree/log-tree.ts';
import { checkpointDue } from '../decider/checkpoint-due.ts';
import type { Command } from '../decider/decide.ts';
import { hostsOf } from '../decider/evolve.ts';
import type { State } from '../decider/state.ts';
import { signedEventOf } from './seal-decided.ts';
import { iterationsUnderWay } from './time-limits.ts';

/** What a checkpoint is made from. */
export interface CheckpointMaking {
  fleet: string;
  key: WriterKey;
  /** The tree over all messages that the state was folded from. */
  tree: LogTree;
  /**
   * The checkpoint that a host reports to know. It can be older than the last one it was told: a journal restored from
   * an old copy.
   */
  knownBy: (host: string) => { epoch: number; size: number } | undefined;
  /** The signed event that began this epoch; undefined in the first. */
  restored: KeptMessage | undefined;
}

/** The iterations that go on and may ask something of a host, or need what it has. */
const openIterationsOf = (state: State, host: string): string[] =>
  iterationsUnderWay(state).flatMap(({ name, plan }) => (hostsOf(plan).includes(host) ? [name] : []));

/** The checkpoints to be told now: one command per host, made when it is asked for, since the first moves the log on. */
export function* checkpointsDue(
  state: State,
  { fleet, key, tree, knownBy, restored }: CheckpointMaking,
): Generator<Command> {
  const due = checkpointDue(state);
  if (due.length === 0 || tree.size !== state.sequence) return;
  const { epoch } = state;
  const head = { size: tree.size, root: tree.rootAt(tree.size) };
  const note = signCheckpoint(logOrigin(fleet, epoch), head, key);
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  for (const host of due) {
    // The host reads the earlier checkpoint in the log before this one, even if its last presence did not know of it
    // yet.
    const known = [knownBy(host), state.checkpoints.get(host)].map((one) =>
      one?.epoch === epoch && one.size <= head.size ? one.size : 0,
    );
    const from = Math.max(...known);
    const proof = tree.consistencyProof(from, head.size).map(base64);
    const told = { host, size: head.size, root: base64(head.root), note, from, proof };
    const open = openIterationsOf(state, host);
    yield { do: 'Checkpoint', ...told, ...(restored ? { restored: signedEventOf(restored) } : {}), open };
  }
}
