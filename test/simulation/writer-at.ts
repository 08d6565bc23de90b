import type { Blob } from '../../eventlog/signing/put-aside.ts';
import type { SealedEvent } from '../../eventlog/signing/seal.ts';
import { type AppendTarget, appendTo } from '../../eventlog/stream/event-log.ts';
import type { BlobMarker } from '../../schemas/blob-marker.ts';
import { kept, type SimulatedLog } from './simulated-log.ts';

/** Asks a server, over a connection or at once. @param changes whether the question changes something. */
export type AskServer = <Answer>(atServer: () => Answer, changes?: boolean) => Promise<Answer>;

/** The questions of one writer to the log. */
export const writerAt = (server: SimulatedLog, ask: AskServer, writer: string) => {
  const read = (subject: string) =>
    ask(() => {
      const found = server.newest(subject);
      return found && kept(found);
    });
  const putBlob = ({ sha256, bytes }: Blob) =>
    ask(() => void server.blobs.set(`${writer}.${sha256}`, bytes), true);
  const target: AppendTarget = {
    putBlob: (_, blob) => putBlob(blob),
    publish: (one, expect) => ask(() => server.publish(one, expect), true),
    read,
  };
  return {
    read,
    putBlob,
    holdsBlob: ({ sha256 }: BlobMarker) => ask(() => server.blobs.has(`${writer}.${sha256}`)),
    append: (sealed: SealedEvent, expectedLast?: number) => appendTo(target, sealed, expectedLast),
  };
};
