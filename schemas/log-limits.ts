import { z } from 'zod';

const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;

/**
 * What a writer may add to the log, to its blobs and to the output before the keeper beside the log's server takes its
 * right to publish. What is added within a short time may be as much as the whole quota.
 */
const Quota = z.strictObject({
  bytesPerMinute: z
    .int()
    .min(1)
    .default(64 * mebibyte),
  messagesPerMinute: z.int().min(1).default(20_000),
  bytesPerDay: z.int().min(1).default(gibibyte),
  /** Of one message. */
  messageBytes: z.int().min(1).default(mebibyte),
});
export type Quota = z.infer<typeof Quota>;

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
  quota: Quota.prefault({}),
});
export type LogLimits = z.infer<typeof LogLimits>;
