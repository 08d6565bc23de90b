import { z } from 'zod';

const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;

/**
 * What the streams of the fleet's log hold at most. A stream of events or blobs that is full accepts nothing more, and
 * drops nothing. All of them together have to be well below what the disk of the log's server has room for.
 */
export const LogLimits = z.strictObject({
  eventsBytes: z
    .int()
    .min(mebibyte)
    .default(4 * gibibyte),
  blobsBytes: z
    .int()
    .min(mebibyte)
    .default(8 * gibibyte),
  /** The steps' output: the oldest makes room. */
  outputBytes: z
    .int()
    .min(mebibyte)
    .default(256 * mebibyte),
});
export type LogLimits = z.infer<typeof LogLimits>;
