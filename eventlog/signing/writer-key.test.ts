import { nkeys } from 'nats';
import { expect, it } from 'vitest';
import { generateWriterKey, readWriterKey } from './writer-key.ts';

it('a seed has the public key that the NATS library reads from it', () => {
  for (let made = 0; made < 50; made += 1) {
    const seed = generateWriterKey();
    expect(readWriterKey(seed).publicKey).toBe(nkeys.fromSeed(Buffer.from(seed)).getPublicKey());
  }
});
