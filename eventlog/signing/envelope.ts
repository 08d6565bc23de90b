import type { DsseEnvelope } from '../../schemas/attestation.ts';
import { isSignedBy, payloadTypes, type WriterKey } from './writer-key.ts';

/** Puts an in-toto statement's exact bytes into a DSSE envelope, signed by a writer of the fleet. */
export const signEnvelope = (key: WriterKey, bytes: Uint8Array): DsseEnvelope => ({
  payloadType: payloadTypes.inToto,
  payload: Buffer.from(bytes).toString('base64'),
  signatures: [{ keyid: key.publicKey, sig: key.sign(payloadTypes.inToto, bytes) }],
});

/**
 * Returns the bytes in an envelope.
 * @param publicKeys the keys whose signature is accepted.
 * @throws {Error} one sentence, if the payload is of another kind or is not strict base64, or if the signature is not
 * by one of these keys.
 */
export const openEnvelope = (
  publicKeys: readonly string[],
  { payloadType, payload, signatures }: DsseEnvelope,
): Uint8Array => {
  if (payloadType !== payloadTypes.inToto)
    throw new Error(`the envelope holds ${payloadType}; expected ${payloadTypes.inToto}`);
  const bytes = Buffer.from(payload, 'base64');
  // The same bytes have several spellings in base64: a changed letter must not go unnoticed.
  if (bytes.toString('base64') !== payload)
    throw new Error('the payload of the envelope is not strict base64');
  const [signature, ...others] = signatures;
  if (signature === undefined || others.length > 0)
    throw new Error(`the envelope has ${signatures.length} signatures; expected one`);
  const { keyid, sig } = signature;
  if (!publicKeys.includes(keyid)) throw new Error(`the envelope is signed by ${keyid}, which is not pinned`);
  if (!isSignedBy(keyid, payloadTypes.inToto, bytes, sig))
    throw new Error(`the signature in the envelope is not by ${keyid}`);
  return bytes;
};
