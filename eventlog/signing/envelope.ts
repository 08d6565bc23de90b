import type { DsseEnvelope } from '../../schemas/attestation.ts';
import { isSignedBy, payloadTypes, type WriterKey } from './writer-key.ts';

/** Puts an in-toto statement's exact bytes into a DSSE envelope, signed by a writer of the fleet. */
export const signEnvelope = (key: WriterKey, bytes: Uint8Array): DsseEnvelope => ({
  payloadType: payloadTypes.inToto,
  payload: Buffer.from(bytes).toString('base64'),
  signatures: [{ keyid: key.publicKey, sig: key.sign(payloadTypes.inToto, bytes) }],
});

/**
 * The bytes in an envelope.
 * @param publicKeys whose signature counts.
 * @throws {Error} a sentence: it is of another kind, its payload is spelt in another way than its one, or the signature is
 * not by one of these keys.
 */
export const openEnvelope = (
  publicKeys: readonly string[],
  { payloadType, payload, signatures }: DsseEnvelope,
): Uint8Array => {
  if (payloadType !== payloadTypes.inToto)
    throw new Error(`the envelope holds ${payloadType}; expected ${payloadTypes.inToto}`);
  const bytes = Buffer.from(payload, 'base64');
  // Base64 has several spellings of the same bytes: a changed letter must not go unseen.
  if (bytes.toString('base64') !== payload)
    throw new Error('the payload of the envelope is no strict base64');
  const [signature, ...others] = signatures;
  if (signature === undefined || others.length > 0)
    throw new Error(`the envelope has ${signatures.length} signatures; expected one`);
  const { keyid, sig } = signature;
  if (!publicKeys.includes(keyid)) throw new Error(`the envelope is signed by ${keyid}, which is not pinned`);
  if (!isSignedBy(keyid, payloadTypes.inToto, bytes, sig))
    throw new Error(`the signature in the envelope is not by ${keyid}`);
  return bytes;
};
