import { logOrigin, openCheckpoint } from '../../eventlog/tree/checkpoint.ts';
import { type MerkleTree, provesConsistency, type TreeHead } from '../../eventlog/tree/merkle-tree.ts';
import type { FleetEvent } from '../../schemas/events.ts';

type Checkpointed = Extract<FleetEvent, { type: 'Checkpointed' }>;

/** What a checkpoint states about a log. */
interface Said {
  /** The checkpoint's place, in words. */
  where: string;
  /** Its place in the log; 0 for the header of an export. */
  sequence: number;
  epoch: number;
  head: TreeHead;
  from: number;
  proof: readonly Uint8Array[];
}

/** A fault that a checkpoint shows: at its own place, or in one of the messages from `sequence` to `until`. */
export interface CheckpointFlaw {
  sequence: number;
  until?: number;
  why: string;
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Collects the checkpoints of a log as they come, and compares them with the log once it is complete. */
export class CheckpointTrail {
  readonly #fleet: string;
  readonly #said: Said[] = [];

  constructor(fleet: string) {
    this.#fleet = fleet;
  }

  /**
   * Takes a checkpoint of the log itself.
   * @param keys the coordinator's keys at that place. @param epoch the log's epoch at that place.
   * @returns what is wrong with the checkpoint itself, whatever the log holds.
   */
  add({ data, epoch: own = 1 }: Checkpointed, sequence: number, epoch: number, keys: string[]): string[] {
    const { size, from } = data;
    const why: string[] = [];
    if (own > epoch) why.push(`it is of epoch ${own} of the log, and nobody has begun that one before it`);
    try {
      const head = openCheckpoint(data.note, logOrigin(this.#fleet, own), keys);
      if (head.size !== size || Buffer.from(head.root).toString('base64') !== data.root)
        why.push('its note is over another size or root than it names itself');
      const proof = data.proof.map((hash) => Buffer.from(hash, 'base64'));
      const where = `the checkpoint at sequence ${sequence}`;
      if (why.length === 0) this.#said.push({ where, sequence, epoch: own, head, from, proof });
    } catch (error) {
      why.push(error instanceof Error ? error.message : String(error));
    }
    return why;
  }

  /** Takes the checkpoint in the header of an export. */
  addHeader(head: TreeHead, epoch: number): void {
    this.#said.push({ where: 'the header', sequence: 0, epoch, head, from: 0, proof: [] });
  }

  /**
   * Compares all of them with the log. Checkpoints of an earlier epoch belong to a log that was lost, and show nothing
   * about this one.
   * @param tree the tree over the log up to its first gap.
   */
  compare(tree: MerkleTree, epoch: number): { agreed: number; faults: CheckpointFlaw[] } {
    const faults: CheckpointFlaw[] = [];
    let agreed = 0;
    let good = 0;
    const ofThisLog = this.#said.filter((one) => one.epoch === epoch);
    for (const { where, sequence, head, from, proof } of ofThisLog.sort(
      (a, b) => a.head.size - b.head.size,
    )) {
      if (sequence > 0 && head.size >= sequence) {
        const before = sequence - 1;
        faults.push({ sequence, why: `it covers ${head.size} messages, and ${before} are before it` });
        continue;
      }
      if (head.size > tree.size) break; // the gap is reported already
      if (!isSame(tree.rootAt(head.size), head.root)) {
        const why = `one of the messages from here to sequence ${head.size} is not what it was when ${where} was signed, or not in its place`;
        // The later checkpoints differ for the same reason.
        return { agreed, faults: [...faults, { sequence: good + 1, until: head.size, why }] };
      }
      good = head.size;
      if (provesConsistency(proof, { size: from, root: tree.rootAt(Math.min(from, tree.size)) }, head))
        agreed += 1;
      else
        faults.push({
          sequence,
          why: `its proof does not show that the log of ${from} messages went on to it`,
        });
    }
    return { agreed, faults };
  }
}
