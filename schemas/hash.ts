import { hash } from 'node:crypto';

/** sha256 of the bytes, or of the text's UTF-8, in hexadecimal. */
export const sha256 = (bytes: Uint8Array | string): string => hash('sha256', bytes, 'hex');
