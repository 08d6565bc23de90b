import { z } from 'zod';
import { WriterName } from './names.ts';

/** An event as its writer signed it, carried inside another event. */
export const SignedEvent = z.object({ writer: WriterName, bytes: z.base64(), signature: z.base64() });
export type SignedEvent = z.infer<typeof SignedEvent>;
