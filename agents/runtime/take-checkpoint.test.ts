import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { exampleTrust } from '../../coordinator/testing/example-plan.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { sealEvent } from '../../eventlog/signing/seal.ts';
import { logOrigin, signCheckpoint } from '../../eventlog/tree/checkpoint.ts';
import { leafHash, MerkleTree } from '../../eventlog/tree/merkle-tree.ts';
import { parseEvent } from '../../schemas/events.ts';
import { Journal } from './journal/journal.ts';
import { type Checkpointed, takeCheckpoint } from './take-checkpoint.ts';

const { fleet } = exampleTrust;
let folder: string;
let journal: Journal;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ka-checkpoint-'));
  journal = new Journal(join(folder, 'journal.db'));
});
afterEach(() => {
  journal.close();
  rmSync(folder, { recursive: true });
});

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const treeOf = (...leaves: string[]) => {
  const tree = new MerkleTree();
  for (const leaf of leaves) tree.append(leafHash(Buffer.from(leaf)));
  return tree;
};
const log = ['a', 'b', 'c', 'd', 'e', 'f'];

/** A checkpoint over a tree, for fresnel. */
const told = (
  tree: MerkleTree,
  from = 0,
  { epoch = 1, ...more }: { epoch?: number; restored?: object; by?: string; open?: string[] } = {},
): Checkpointed => {
  const { by = 'coordinator', ...rest } = more;
  const root = tree.rootAt(tree.size);
  const note = signCheckpoint(logOrigin(fleet, epoch), { size: tree.size, root }, testKey(by));
  const proof = tree.consistencyProof(Math.min(from, tree.size), tree.size).map(base64);
  const data = { host: 'fresnel', size: tree.size, root: base64(root), note, from, proof, ...rest };
  const event = { type: 'Checkpointed', iteration: '_', attempt: 1, host: 'fresnel', data } as const;
  const writer = { fleet, name: 'coordinator', key: testKey('coordinator'), epoch };
  return parseEvent(sealEvent(event, writer, undefined, '2026-05-11T08:00:00Z').bytes) as Checkpointed;
};

it('goes on from what it knows, and recognizes repeats', () => {
  expect(takeCheckpoint(journal, exampleTrust, told(treeOf(...log.slice(0, 3))))).toBeUndefined();
  expect(takeCheckpoint(journal, exampleTrust, told(treeOf(...log), 3))).toBeUndefined();
  expect(takeCheckpoint(journal, exampleTrust, told(treeOf(...log.slice(0, 3))))).toBeUndefined();
  expect(journal.checkpoints.last()).toMatchObject({ epoch: 1, size: 6 });
  expect(journal.checkpoints.fork()).toBeUndefined();
});

it('knows which iterations go on, as it was told last; an older coordinator does not say', () => {
  takeCheckpoint(journal, exampleTrust, told(treeOf(...log.slice(0, 2))));
  expect(journal.checkpoints.told()).toBeUndefined();
  takeCheckpoint(journal, exampleTrust, told(treeOf(...log.slice(0, 3)), 2, { open: ['iter5', 'iter6'] }));
  takeCheckpoint(journal, exampleTrust, told(treeOf(...log.slice(0, 4)), 3, { open: ['iter6'] }));
  expect(journal.checkpoints.told()).toEqual({ size: 4, open: ['iter6'] });
  // A log that is not the one it knew says nothing that counts.
  takeCheckpoint(journal, exampleTrust, told(treeOf('x', ...log), 4, { open: [] }));
  expect(journal.checkpoints.told()).toEqual({ size: 4, open: ['iter6'] });
});

it.each([
  [
    'was cut',
    told(treeOf(...log.slice(0, 3))),
    /cut or rewritten: this host knows .* over 5 events .* is told .* over 3/,
  ],
  ['was rewritten at the same size', told(treeOf('a', 'b', 'x', 'd', 'e')), /cut or rewritten/],
  [
    'goes on from another past',
    told(treeOf('a', 'b', 'x', 'd', 'e', 'f'), 5),
    /was rewritten: .* does not begin with it/,
  ],
  ['is told from another size', told(treeOf(...log), 4), /nothing proves/],
])(
  'stops working if the log %s, and names both heads; it remembers that over a restart',
  (_what, event, why) => {
    takeCheckpoint(journal, exampleTrust, told(treeOf(...log.slice(0, 5))));
    expect(takeCheckpoint(journal, exampleTrust, event)).toBeUndefined();
    journal.close();
    journal = new Journal(join(folder, 'journal.db'));
    expect(journal.checkpoints.fork()?.why).toMatch(why);
    expect(journal.checkpoints.last()?.size).toBe(5);
  },
);

it('goes on in a new epoch only with the event of an operator who may restore the log', () => {
  takeCheckpoint(journal, exampleTrust, told(treeOf(...log)));
  takeCheckpoint(journal, exampleTrust, told(treeOf('x')));
  expect(journal.checkpoints.fork()).toBeDefined();
  const said = (name: string, epoch: number) => {
    const data = { epoch, by: 'mfritsche', rebuilt: 1, missing: 0 };
    const event = { type: 'LogRestored', iteration: '_', attempt: 1, data } as const;
    const { bytes, signature } = sealEvent(
      event,
      { fleet, name, key: testKey(name) },
      undefined,
      '2026-05-11T08:00:00Z',
    );
    return { writer: name, bytes: base64(bytes), signature };
  };
  const restart = (restored?: object) =>
    takeCheckpoint(
      journal,
      exampleTrust,
      told(treeOf('x', 'y'), 0, { epoch: 2, ...(restored && { restored }) }),
    );
  const unsaid = 'no operator has signed that epoch 2 begins';
  expect(restart()).toBe(unsaid);
  expect(restart(said('boltzmann', 2))).toBe(unsaid);
  expect(restart(said('@mfritsche', 3))).toBe(unsaid);
  expect(restart({ ...said('@mfritsche', 2), signature: said('@mfritsche', 3).signature })).toBe(unsaid);
  expect(journal.checkpoints.fork()).toBeDefined();
  expect(restart(said('@mfritsche', 2))).toBeUndefined();
  expect(journal.checkpoints.fork()).toBeUndefined();
  expect(journal.checkpoints.last()).toMatchObject({ epoch: 2, size: 2 });
});

it('is not a checkpoint if its note is another’s, or over another head', () => {
  const event = told(treeOf(...log));
  expect(takeCheckpoint(journal, exampleTrust, told(treeOf(...log), 0, { by: 'hertz' }))).toContain(
    'not signed by',
  );
  expect(takeCheckpoint(journal, exampleTrust, { ...event, data: { ...event.data, size: 5 } })).toContain(
    'over another head: 6 events',
  );
  expect(journal.checkpoints.last()).toBeUndefined();
});
