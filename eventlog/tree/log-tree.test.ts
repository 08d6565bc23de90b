import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../../schemas/hash.ts';
import { LogTree, leafOf } from './log-tree.ts';
import { leafHash } from './merkle-tree.ts';

const message = { sequence: 1, subject: 'ka.f.hertz._.A.1', signature: 'c2ln', bytes: Buffer.from('{}') };

describe('the leaf of a message', () => {
  it('is over its subject, its signature and the hash of its bytes', () => {
    const digest = hash('sha256', '{}', 'buffer');
    const data = Buffer.concat([Buffer.from('DSSEv1 21 ka.f.hertz._.A.1\nc2ln 32 '), digest]);
    expect(Buffer.from(leafOf(message))).toEqual(Buffer.from(leafHash(data)));
  });

  it('is the same if only the hash of the bytes is shown', () => {
    const { bytes, ...rest } = message;
    expect(leafOf({ ...rest, sha256: sha256(bytes) })).toEqual(leafOf(message));
  });

  it('is another one if any part of the message is another one', () => {
    const others = [
      { ...message, subject: 'ka.f.hertz._.A.2' },
      { ...message, signature: 'c2lo' },
      { ...message, bytes: Buffer.from('{} ') },
      { ...message, subject: 'ka.f.hertz._.A.1\nc2ln', signature: '' },
    ];
    const leaves = [message, ...others].map((one) => Buffer.from(leafOf(one)).toString('hex'));
    expect(new Set(leaves).size).toBe(5);
  });
});

it('the tree over a log takes each message in its place', () => {
  const tree = new LogTree();
  tree.add(message);
  expect(() => tree.add(message)).toThrow(
    'the tree covers 1 messages of the log, and does not go on with the one at sequence 1',
  );
  expect(() => tree.add({ ...message, sequence: 3 })).toThrow(RangeError);
  tree.add({ ...message, sequence: 2 });
  expect(tree.size).toBe(2);
});
