import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';

/** A writer's Ed25519 key: it signs the exact bytes of every event that the writer writes. */
export interface WriterKey {
  /** SubjectPublicKeyInfo, DER, base64: what others pin. */
  publicKey: string;
  /** The signature over `bytes`, base64. */
  sign(bytes: Uint8Array): string;
}

/** @param pem PKCS#8 PEM. @throws if it is no Ed25519 private key. */
export const readWriterKey = (pem: string): WriterKey => {
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType !== 'ed25519')
    throw new Error(`expected an Ed25519 key, found ${key.asymmetricKeyType}`);
  return {
    publicKey: createPublicKey(key).export({ format: 'der', type: 'spki' }).toString('base64'),
    sign: (bytes) => sign(null, bytes, key).toString('base64'),
  };
};

/** A new key: the private half as PKCS#8 PEM. */
export const generateWriterKey = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();

const objects = new Map<string, KeyObject>();

/** Whether `signature` (base64) is this key's over these bytes. */
export const isSignedBy = (publicKey: string, bytes: Uint8Array, signature: string): boolean => {
  let key = objects.get(publicKey); // making the object costs as much as the check itself
  if (!key) {
    key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
    objects.set(publicKey, key);
  }
  return verify(null, bytes, key, Buffer.from(signature, 'base64'));
};

/** sha256 of the bytes, hexadecimal. */
export const sha256 = (bytes: Uint8Array | string): string => hash('sha256', bytes, 'hex');
