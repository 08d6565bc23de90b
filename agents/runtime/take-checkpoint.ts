import type { Trust } from '../../eventlog/signing/trust.ts';
import { logOrigin, openCheckpoint } from '../../eventlog/tree/checkpoint.ts';
import { provesConsistency } from '../../eventlog/tree/merkle-tree.ts';
import { BadNote } from '../../eventlog/tree/signed-note.ts';
import { coordinator, type FleetEvent } from '../../schemas/events.ts';
import type { KeptCheckpoint } from './journal/checkpoints.ts';
import type { Journal } from './journal/journal.ts';
import { isBegun } from './new-epoch.ts';

export type Checkpointed = Extract<FleetEvent, { type: 'Checkpointed' }>;

const bytesOf = (text: string) => Buffer.from(text, 'base64');
const spell = ({ epoch, size, root }: KeptCheckpoint) => `${root} over ${size} events of epoch ${epoch}`;

/** Why a new checkpoint does not continue the one that the host knows; undefined if it does. */
const forkBetween = (
  known: KeptCheckpoint,
  told: KeptCheckpoint,
  { from, proof }: Checkpointed['data'],
): string | undefined => {
  const heads = `this host knows ${spell(known)}, and is told ${spell(told)}`;
  if (told.size <= known.size) return `the log was cut or rewritten: ${heads}`;
  if (from !== known.size) return `nothing proves that the log goes on from what it was: ${heads}`;
  const isProved = provesConsistency(
    proof.map(bytesOf),
    { size: known.size, root: bytesOf(known.root) },
    { size: told.size, root: bytesOf(told.root) },
  );
  return isProved ? undefined : `the log was rewritten: ${heads}, which does not begin with it`;
};

/**
 * Notes a checkpoint that the coordinator has signed. If it does not continue what this host knows, the host stops
 * working until an operator has restored the log. Everything is in the journal when this returns.
 * @returns why the message is not a valid checkpoint; undefined if it is.
 */
export const takeCheckpoint = (journal: Journal, trust: Trust, event: Checkpointed): string | undefined => {
  const { fleet, data } = event;
  const epoch = event.epoch ?? 1;
  try {
    const keys = trust.writers.get(coordinator)?.keys ?? [];
    const head = openCheckpoint(data.note, logOrigin(fleet, epoch), keys);
    if (head.size !== data.size || Buffer.compare(head.root, bytesOf(data.root)) !== 0)
      return `its note is over another head: ${head.size} events`;
  } catch (error) {
    if (!(error instanceof BadNote)) throw error;
    return error.message;
  }
  const told = { epoch, size: data.size, root: data.root };
  const known = journal.checkpoints.last();
  const before = journal.checkpoints.rootOf(epoch, told.size);
  // A repeated checkpoint, as after the log was restored, brings nothing new.
  if (before === told.root || (known !== undefined && epoch < known.epoch && before === undefined))
    return undefined;
  let fork: string | undefined;
  if (epoch > (known?.epoch ?? 1)) {
    if (!isBegun(trust, data.restored, epoch)) return `no operator has signed that epoch ${epoch} begins`;
  } else if (known !== undefined) fork = forkBetween(known, told, data);
  journal.inOneCommit(() => {
    if (fork !== undefined) journal.checkpoints.noteFork(epoch, fork);
    else {
      journal.checkpoints.note(told);
      journal.marks.noteEpoch(epoch);
      if (data.open) journal.checkpoints.noteTold(told.size, data.open);
      journal.checkpoints.settleForks(epoch);
    }
  });
  return undefined;
};
