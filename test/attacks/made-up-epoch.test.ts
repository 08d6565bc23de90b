import { describe, expect } from 'vitest';
import { Journal } from '../../agents/runtime/journal/journal.ts';
import type { Handed } from '../../agents/runtime/ports.ts';
import { runRequestLoop } from '../../agents/runtime/request-loop.ts';
import { recordRequest } from '../../agents/runtime/testing/recording-agent.ts';
import { exampleTrust } from '../../coordinator/testing/example-plan.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { checkEvent } from '../../eventlog/signing/check-event.ts';
import { type SealedEvent, sealEvent } from '../../eventlog/signing/seal.ts';
import { logOrigin, signCheckpoint } from '../../eventlog/tree/checkpoint.ts';
import { leafHash, MerkleTree } from '../../eventlog/tree/merkle-tree.ts';
import { coordinator, noIteration, personWriter, type UntypedEvent } from '../../schemas/events.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import { attack } from './attack.ts';

const { fleet } = exampleTrust;
const host = 'boltzmann';
const last = Number.MAX_SAFE_INTEGER;

const seal = (name: string, event: UntypedEvent, more: { epoch?: number; restored?: SignedEvent } = {}) =>
  sealEvent(event, { fleet, name, key: testKey(name), ...more }, undefined, '2026-05-11T08:00:00Z');

const asks = (iteration: string, more?: { epoch?: number; restored?: SignedEvent }) =>
  seal(
    coordinator,
    { type: 'RecordRequested', iteration, attempt: 1, host, data: { host, request: recordRequest } },
    more,
  );

/** What a writer says about a restore, as it is carried in another event. */
const begins = (writer: string, epoch: number, by = 'mfritsche'): SignedEvent => {
  const data = { epoch, by, rebuilt: 1, missing: 0 };
  const { bytes, signature } = seal(writer, {
    type: 'LogRestored',
    iteration: noIteration,
    attempt: epoch,
    data,
  });
  return { writer, bytes: Buffer.from(bytes).toString('base64'), signature };
};

const checkpoint = (epoch: number, restored?: SignedEvent) => {
  const tree = new MerkleTree();
  tree.append(leafHash(Buffer.from('a')));
  const note = signCheckpoint(
    logOrigin(fleet, epoch),
    { size: 1, root: tree.rootAt(1) },
    testKey(coordinator),
  );
  const root = Buffer.from(tree.rootAt(1)).toString('base64');
  const data = { host, size: 1, root, note, from: 0, proof: [], ...(restored && { restored }) };
  return seal(
    coordinator,
    { type: 'Checkpointed', iteration: noIteration, attempt: epoch === 1 ? 1 : 2, host, data },
    { epoch },
  );
};

/** Hands these messages to a host. @returns the iterations that it was asked about, and what it has refused. */
const handTo = async (...handed: SealedEvent[]) => {
  const journal = new Journal(':memory:');
  const stop = new AbortController();
  const refused: string[] = [];
  async function* pull(): AsyncGenerator<Handed> {
    for (const [index, { subject, bytes, signature }] of handed.entries())
      yield {
        ...{ sequence: index + 1, subject, bytes, signature, handed: index + 1, pending: 0 },
        ack: async () => undefined,
        term: () => undefined,
      };
    stop.abort();
  }
  try {
    await runRequestLoop({
      log: { pull, isClosed: () => false, readBlob: () => expect.unreachable() },
      clock: { pause: async () => undefined },
      durable: { given: () => undefined, noted: () => undefined, ended: () => undefined },
      journal,
      trust: exampleTrust,
      check: (message) => checkEvent(exampleTrust, message),
      host,
      role: 'builder',
      mayTake: () => true,
      onceThereIsRoom: async (write) => write(),
      onNoted: () => undefined,
      onCheckpoint: () => undefined,
      onRefused: (sentence) => void refused.push(sentence),
      failpoint: () => undefined,
      signal: stop.signal,
    });
    return {
      asked: journal.requests.all().map(({ iteration }) => iteration),
      epoch: journal.marks.epoch(),
      checkpoint: journal.checkpoints.last(),
      refused: refused.map((sentence) => /: (.*)$/.exec(sentence)?.[1]),
    };
  } finally {
    journal.close();
  }
};

describe('a coordinator that makes up an epoch', () => {
  attack('made-up-epoch', 'its request is refused, and the next one is taken', async () => {
    expect(await handTo(asks('iter1', { epoch: last }), asks('iter2'))).toMatchObject({
      asked: ['iter2'],
      epoch: 1,
      refused: [`no operator has signed that epoch ${last} begins; epoch 1 goes on`],
    });
  });

  attack('made-up-epoch', 'its own word, or a person’s for another epoch, proves nothing', async () => {
    for (const restored of [begins(coordinator, last), begins(personWriter('mfritsche'), 2)])
      expect(await handTo(asks('iter1', { epoch: last, restored }), asks('iter2'))).toMatchObject({
        asked: ['iter2'],
        epoch: 1,
      });
  });

  attack('made-up-epoch', 'its checkpoint is refused, also by a host that knows none', async () => {
    const seen = await handTo(checkpoint(last), checkpoint(1));
    expect(seen.refused).toEqual([`no operator has signed that epoch ${last} begins`]);
    expect(seen.checkpoint?.epoch).toBe(1);
  });

  attack('made-up-epoch', 'an epoch that a person has begun counts, and ends the one before', async () => {
    const restored = begins(personWriter('mfritsche'), 2);
    const later = { epoch: 2, restored };
    expect(await handTo(asks('iter1'), asks('iter2', later), asks('iter3'))).toMatchObject({
      asked: ['iter1', 'iter2'],
      epoch: 2,
      refused: ['it belongs to epoch 1, before the log was restored; epoch 2 has begun'],
    });
    expect(await handTo(checkpoint(2, restored), asks('iter3'))).toMatchObject({ asked: [], epoch: 2 });
  });
});
