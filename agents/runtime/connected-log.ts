import type { LogConnection } from '../../eventlog/connection/connect.ts';
import { signatureHeader } from '../../eventlog/signing/check-event.ts';
import { holdsBlob, putBlob, readBlob } from '../../eventlog/stream/blobs.ts';
import { directGet } from '../../eventlog/stream/direct-get.ts';
import { appendEvent } from '../../eventlog/stream/event-log.ts';
import { lastSequenceFor } from '../../eventlog/stream/log-end.ts';
import { explainLogError } from '../../eventlog/stream/log-fault.ts';
import { pullMessages } from '../../eventlog/stream/pull.ts';
import { subjectOfNothing } from './own-log.ts';
import type { HostLog } from './ports.ts';

/** How many messages for the host may be on their way. */
const onTheirWay = 100;

/** Waits for answers, until the connection is lost. */
const createAnswers = () => {
  const waiting = new Set<(error: Error) => void>();
  return {
    /** Returns the answer, or rejects as soon as the connection is lost, since then no answer will come. */
    async answer<Result>(asked: Promise<Result>): Promise<Result> {
      asked.catch(() => undefined); // its rejection may come after the connection's
      let give: (error: Error) => void = () => undefined;
      const lost = new Promise<never>((_resolve, reject) => {
        give = reject;
        waiting.add(give);
      });
      try {
        return await Promise.race([asked, lost]);
      } finally {
        waiting.delete(give);
      }
    },
    lose() {
      for (const give of waiting) give(new Error('the connection to the log was lost'));
    },
  };
};

/** A fleet's log, over a connection to its server. */
export const createConnectedLog = (
  connection: LogConnection,
  { fleet, host }: { fleet: string; host: string },
): HostLog => {
  const nothing = subjectOfNothing(fleet, host);
  const own = { fleet, writer: host };
  const { answer, lose } = createAnswers();
  const listeners: (() => void)[] = [];
  let isUp = true;
  void (async () => {
    for await (const { type } of connection.status()) {
      const text = String(type);
      if (text !== 'disconnect' && text !== 'reconnect') continue;
      isUp = text === 'reconnect';
      lose();
      for (const listen of listeners) listen();
    }
  })();
  const isClosed = () => connection.isClosed() || connection.isDraining();
  return {
    isUp: () => isUp && !isClosed(),
    isClosed,
    onChange: (listen) => void listeners.push(listen),
    read: (subject) => answer(directGet(connection, { subject })),
    lastSequence: () => answer(lastSequenceFor(connection, nothing)),
    append: (sealed) => appendEvent(connection, sealed),
    readBlob: (writer, marker) => answer(readBlob(connection, { fleet, writer }, marker)),
    holdsBlob: (marker) => answer(holdsBlob(connection, own, marker)),
    putBlob: (blob) => answer(putBlob(connection, own, blob)),
    async *pull(signal) {
      for await (const pulled of pullMessages(connection, host, onTheirWay, signal)) {
        if (pulled === 'nothing now') yield pulled;
        else {
          const { seq, data, headers, ...message } = pulled;
          yield { ...message, sequence: seq, bytes: data, signature: headers?.get(signatureHeader) ?? '' };
        }
      }
    },
    explain: (error) => explainLogError(connection, error, nothing),
  };
};
