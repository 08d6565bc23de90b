/**
 * What a signature of this fleet is over: the kind of message, and its exact bytes. No message of one kind can pass as
 * one of another. DSSE's pre-authentication encoding, https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md
 */
export const preAuthentication = (payloadType: string, payload: Uint8Array): Uint8Array => {
  const type = Buffer.from(payloadType, 'utf8');
  const head = Buffer.from(`DSSEv1 ${type.length} ${payloadType} ${payload.length} `, 'utf8');
  return Buffer.concat([head, payload]);
};
