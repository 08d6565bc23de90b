import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { nkeys } from 'nats';
import { preAuthentication } from './dsse.ts';

/** The kinds of messages that a writer signs. The type string of each is part of what is signed. */
export const payloadTypes = {
  event: 'application/vnd.kernel-agent.event.v1+json',
  /** A new key's consent to become its writer's. */
  keyRotation: 'application/vnd.kernel-agent.key-rotation.v1',
  inToto: 'application/vnd.in-toto+json',
  /** What a host shows of itself, and of a step's output. */
  presence: 'application/vnd.kernel-agent.presence.v1+json',
  output: 'application/vnd.kernel-agent.output.v1+json',
  /** What the keeper of the log shows. */
  keeping: 'application/vnd.kernel-agent.keeping.v1+json',
} as const;
export type PayloadType = (typeof payloadTypes)[keyof typeof payloadTypes];

/** A writer's Ed25519 key, an NKey of a NATS user. The writer logs in with it, and signs everything that it writes. */
export interface WriterKey {
  /** `U…`, 56 characters: what others pin. */
  publicKey: string;
  /** The signature over a message of that kind, base64. */
  sign(type: PayloadType, bytes: Uint8Array): string;
  /** The signature over the bytes as they are, for formats with their own framing. Only C2SP's signed notes use it. */
  signRaw(bytes: Uint8Array): Uint8Array;
}

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** RFC 4648, section 6, without padding. */
const decodeBase32 = (text: string): Uint8Array => {
  let bits = '';
  for (const letter of text) bits += base32.indexOf(letter).toString(2).padStart(5, '0');
  return Uint8Array.from(bits.match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2));
};

/**
 * Writes what {@link decodeBase32} reads. @param bytes their number is a multiple of five, so that no bit is left over.
 */
const encodeBase32 = (bytes: Uint8Array): string => {
  let bits = '';
  for (const byte of bytes) bits += byte.toString(2).padStart(8, '0');
  return (bits.match(/.{5}/g) ?? []).map((five) => base32[Number.parseInt(five, 2)]).join('');
};

/** CRC-16/XMODEM, the checksum of an NKey. */
const crc16 = (bytes: Uint8Array): number => {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc;
};

/** The NKey of the user with this public key. The library can compute it too, but takes 20 ms from a cold start. */
const userNkey = (raw: Uint8Array): string => {
  const key = Buffer.concat([Buffer.of(20 << 3), raw]);
  const checksum = Buffer.alloc(2);
  checksum.writeUInt16LE(crc16(key));
  return encodeBase32(Buffer.concat([key, checksum]));
};

const rawKeys = new Map<string, Uint8Array>();

/** The 32 bytes of an Ed25519 public key. @param publicKey a user's NKey, `U…`. @throws if it is not one. */
export const rawPublicKey = (publicKey: string): Uint8Array => {
  let raw = rawKeys.get(publicKey); // the note of each checkpoint asks for it
  if (!raw) {
    // The library checks letters, prefix and checksum.
    if (!publicKey.startsWith('U') || !nkeys.fromPublic(publicKey))
      throw new Error(`${publicKey} is not the NKey of a user`);
    raw = decodeBase32(publicKey).slice(1, 33);
    rawKeys.set(publicKey, raw);
  }
  return raw;
};

// The DER around an Ed25519 key's 32 bytes, RFC 8410.
const pkcs8Head = Buffer.from('302e020100300506032b657004220420', 'hex');
const spkiHead = Buffer.from('302a300506032b6570032100', 'hex');

/** @param seed an NKey seed of a user, `SU…`. @throws if it is not one; the message does not repeat it. */
export const readWriterKey = (seed: string): WriterKey => {
  const text = seed.trim();
  if (!/^SU[A-Z2-7]{56}$/.test(text))
    throw new Error('expected the NKey seed of a user: "SU" and 56 letters or digits');
  const key = createPrivateKey({
    key: Buffer.concat([pkcs8Head, nkeys.fromSeed(Buffer.from(text)).getRawSeed()]),
    format: 'der',
    type: 'pkcs8',
  });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const publicKey = userNkey(spki.subarray(spkiHead.length));
  const signRaw = (bytes: Uint8Array) => sign(null, bytes, key);
  return {
    publicKey,
    sign: (type, bytes) => signRaw(preAuthentication(type, bytes)).toString('base64'),
    signRaw,
  };
};

/** A new key: its seed, which is the secret that `keyFile` of a config holds. */
export const generateWriterKey = (): string => new TextDecoder().decode(nkeys.createUser().getSeed());

const objects = new Map<string, KeyObject>();

const objectOf = (publicKey: string): KeyObject => {
  let key = objects.get(publicKey); // making the object costs as much as the check itself
  if (!key) {
    key = createPublicKey({
      key: Buffer.concat([spkiHead, rawPublicKey(publicKey)]),
      format: 'der',
      type: 'spki',
    });
    objects.set(publicKey, key);
  }
  return key;
};

/** Whether `signature` is this key's signature over the bytes as they are. */
export const isRawSignedBy = (publicKey: string, bytes: Uint8Array, signature: Uint8Array): boolean =>
  verify(null, bytes, objectOf(publicKey), signature);

/** The bytes of a signature; undefined unless it is strict base64: a changed letter must not go unnoticed. */
const signatureBytes = (signature: string): Uint8Array | undefined => {
  const raw = Buffer.from(signature, 'base64');
  return raw.toString('base64') === signature ? raw : undefined;
};

/** Whether `signature` (strict base64) is this key's signature over a message of that kind. */
export const isSignedBy = (
  publicKey: string,
  type: PayloadType,
  bytes: Uint8Array,
  signature: string,
): boolean => {
  const raw = signatureBytes(signature);
  return raw !== undefined && isRawSignedBy(publicKey, preAuthentication(type, bytes), raw);
};

/** Like {@link isSignedBy}, in a thread of Node's pool: several are checked at once, and this thread goes on meanwhile. */
export const isSignedByInPool = async (
  publicKey: string,
  type: PayloadType,
  bytes: Uint8Array,
  signature: string,
): Promise<boolean> => {
  const raw = signatureBytes(signature);
  if (raw === undefined) return false;
  const key = objectOf(publicKey);
  return new Promise((resolve, reject) =>
    verify(null, preAuthentication(type, bytes), key, raw, (error, isGood) =>
      error ? reject(error) : resolve(isGood),
    ),
  );
};
