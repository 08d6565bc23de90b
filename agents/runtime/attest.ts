import { signEnvelope } from '../../eventlog/signing/envelope.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import type { DsseEnvelope, Statement } from '../../schemas/attestation.ts';

/** Makes the function by which steps attest, with their host's own key. */
export const createAttest =
  (key: WriterKey) =>
  (statement: Statement): DsseEnvelope =>
    signEnvelope(key, new TextEncoder().encode(JSON.stringify(statement)));
