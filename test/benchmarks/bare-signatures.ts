import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';

// A thread that checks Ed25519 signatures and does nothing else: once per message that it gets, so many of so long texts.
const { count, sizeBytes } = workerData as { count: number; sizeBytes: number };
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const signed = Array.from({ length: 64 }, (_, nth) => {
  const bytes = Buffer.alloc(sizeBytes, `text ${nth}, `);
  return { bytes, signature: sign(null, bytes, privateKey) };
});

parentPort?.on('message', () => {
  for (let nth = 0; nth < count; nth += 1) {
    const one = signed[nth % signed.length];
    if (!one || !verify(null, one.bytes, publicKey, one.signature))
      throw new Error('a good signature failed');
  }
  parentPort?.postMessage('done');
});
parentPort?.postMessage('ready');
