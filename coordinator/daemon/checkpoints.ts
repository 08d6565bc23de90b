import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import { logOrigin, signCheckpoint } from '../../eventlog/tree/checkpoint.ts';
import type { LogTree } from '../../eventlog/tree/log-tree.ts';
import { parseSubject } from '../../schemas/events.ts';
import { checkpointDue } from '../decider/checkpoint-due.ts';
import type { Command } from '../decider/decide.ts';
import type { State } from '../decider/state.ts';

/** What a checkpoint is made from. */
export interface CheckpointMaking {
  fleet: string;
  key: WriterKey;
  /** Over all that the state was folded from. */
  tree: LogTree;
  /** What a host says that it knows: a journal that is an old copy knows less than the log. */
  knownBy: (host: string) => { epoch: number; size: number } | undefined;
  /** The word that began this epoch, as it was signed; undefined in the first. */
  restored: KeptMessage | undefined;
}

/** The iterations that go on and may ask something of a host, or need what it has. */
const openIterationsOf = ({ iterations }: State, host: string): string[] =>
  [...iterations.values()].flatMap(({ name, ended, plan: { board, hosts } }) => {
    const named = [board, ...hosts.builders, hosts.publisher, hosts.backup];
    return ended === undefined && named.includes(host) ? [name] : [];
  });

/** What is to be told now, a command a host. */
export const checkpointsDue = (
  state: State,
  { fleet, key, tree, knownBy, restored }: CheckpointMaking,
): Command[] => {
  const due = checkpointDue(state);
  if (due.length === 0 || tree.size !== state.sequence) return [];
  const { epoch } = state;
  const head = { size: tree.size, root: tree.rootAt(tree.size) };
  const note = signCheckpoint(logOrigin(fleet, epoch), head, key);
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const proved = restored && {
    writer: parseSubject(restored.subject)?.writer ?? '',
    bytes: base64(restored.bytes),
    signature: restored.signature,
  };
  return due.map((host) => {
    // What the log tells it reaches the host before this does, whatever the host said last of what it knows.
    const known = [knownBy(host), state.checkpoints.get(host)].map((one) =>
      one?.epoch === epoch && one.size <= head.size ? one.size : 0,
    );
    const from = Math.max(...known);
    const proof = tree.consistencyProof(from, head.size).map(base64);
    const told = { host, size: head.size, root: base64(head.root), note, from, proof };
    const open = openIterationsOf(state, host);
    return { do: 'Checkpoint', ...told, ...(proved ? { restored: proved } : {}), open } as const;
  });
};
