/**
 * The bytes that a signature of this fleet covers: the kind of message, and its exact bytes. So a message of one kind
 * can't pass as one of another. DSSE's pre-authentication encoding,
 * https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md
 */
export const preAuthentication = (payloadType: string, payload: Uint8Array): Uint8Array => {
  const type = Buffer.from(payloadType, 'utf8');
  const head = Buffer.from(`DSSEv1 ${type.length} ${payloadType} ${payload.length} `, 'utf8');
  return Buffer.concat([head, payload]);
};
