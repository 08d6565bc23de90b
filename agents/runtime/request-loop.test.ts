import { expect, it } from 'vitest';
import { exampleTrust } from '../../coordinator/testing/example-plan.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { checkEvent } from '../../eventlog/signing/check-event.ts';
import { type SealedEvent, sealEvent } from '../../eventlog/signing/seal.ts';
import { logOrigin, signCheckpoint } from '../../eventlog/tree/checkpoint.ts';
import { leafHash, MerkleTree } from '../../eventlog/tree/merkle-tree.ts';
import { coordinator, noIteration, type UntypedEvent } from '../../schemas/events.ts';
import { Journal } from './journal/journal.ts';
import type { Handed } from './ports.ts';
import { runRequestLoop } from './request-loop.ts';
import { recordRequest } from './testing/recording-agent.ts';

const { fleet } = exampleTrust;
const host = 'boltzmann';
const seal = (event: UntypedEvent): SealedEvent =>
  sealEvent(
    event,
    { fleet, name: coordinator, key: testKey(coordinator) },
    undefined,
    '2026-05-11T08:00:00Z',
  );
const asked = (title: string) =>
  seal({
    ...{ type: 'RecordRequested', iteration: 'iter5', attempt: 1, host },
    data: { host, request: { ...recordRequest, title } },
  });
/** A checkpoint over these leaves. */
const told = (...leaves: string[]) => {
  const tree = new MerkleTree();
  for (const leaf of leaves) tree.append(leafHash(Buffer.from(leaf)));
  const { size } = tree;
  const note = signCheckpoint(logOrigin(fleet, 1), { size, root: tree.rootAt(size) }, testKey(coordinator));
  const root = Buffer.from(tree.rootAt(size)).toString('base64');
  const data = { host, size, root, note, from: 0, proof: [] };
  return seal({ type: 'Checkpointed', iteration: noIteration, attempt: 1, host, data });
};

it('the second message under a subject is refused, whatever it is, and is no fork', async () => {
  const journal = new Journal(':memory:');
  const [first, second] = [asked('Close'), asked('x'.repeat(1_000_000))];
  expect(second.blobs).not.toEqual([]);
  const handed = [first, second, told('a', 'b', 'c'), told('x', 'y'), first];
  const stop = new AbortController();
  const ends: string[] = [];
  const refused: string[] = [];
  async function* pull(): AsyncGenerator<Handed> {
    for (const [index, { subject, bytes, signature }] of handed.entries()) {
      const sequence = index === 4 ? 1 : index + 1; // the first message again: the server did not get its ack
      yield {
        ...{ sequence, subject, bytes, signature, handed: index + 1, pending: 0 },
        ack: async () => void ends.push(`${sequence} acked`),
        term: () => void ends.push(`${sequence} ended`),
      };
    }
    stop.abort();
  }
  await runRequestLoop({
    log: { pull, isClosed: () => false, readBlob: () => expect.unreachable() },
    clock: { pause: async () => undefined },
    journal,
    host,
    role: 'builder',
    trust: exampleTrust,
    check: (message) => checkEvent(exampleTrust, message),
    onNoted: () => undefined,
    onCheckpoint: () => undefined,
    onRefused: (why) => void refused.push(why),
    durable: { given: () => undefined, noted: () => undefined, ended: () => undefined },
    mayTake: () => true,
    onceThereIsRoom: async (work) => work(),
    failpoint: () => undefined,
    signal: stop.signal,
  });
  expect(refused).toEqual(
    [1, 3].map((sequence) =>
      expect.stringMatching(
        new RegExp(
          `\\(sequence ${sequence + 1}\\): it is the second message .* at sequence ${sequence} counts`,
        ),
      ),
    ),
  );
  expect(ends).toEqual(['1 acked', '2 ended', '3 acked', '4 ended', '1 acked']);
  expect(journal.requests.next()?.bytes).toEqual(Buffer.from(first.bytes));
  expect(journal.checkpoints.last()?.size).toBe(3);
  expect(journal.checkpoints.fork()).toBeUndefined();
});
