import { join } from 'node:path';
import Database from 'better-sqlite3';
import { AckPolicy, createInbox, DeliverPolicy, headers, type Msg, type NatsConnection } from 'nats';
import { connectNats } from '../../eventlog/connection/connect.ts';
import { inboxOf } from '../../eventlog/connection/inbox.ts';
import { readKeyFile } from '../../eventlog/signing/key-file.ts';
import { isSignedBy, payloadTypes, type WriterKey } from '../../eventlog/signing/writer-key.ts';
import { eventStream } from '../../eventlog/stream/provision.ts';
import { median } from './benchmark.ts';

// The least that a request and its outcome take: minimal-loop asks|answers JSON. Each message is signed and checked. The one
// that answers keeps a journal with a full sync for the request and one for the outcome; the one that asks prints the median
// of the times from one request to the next, in milliseconds.
const [, , does, input = ''] = process.argv;
const { url, folder, fleet, host, keys, times } = JSON.parse(input) as {
  url: string;
  folder: string;
  fleet: string;
  host: string;
  keys: Record<string, string>;
  times: number;
};
const asker = 'coordinator';

const open = async (name: string): Promise<{ connection: NatsConnection; key: WriterKey }> => {
  const keyFile = join(folder, `${name}.nkey`);
  return { connection: await connectNats({ servers: [url], keyFile, name }), key: readKeyFile(keyFile) };
};

const isGood = ({ data, headers: head }: Msg, writer: string): boolean =>
  isSignedBy(keys[writer] ?? '', payloadTypes.event, data, head?.get('signature') ?? '');

/** Signs what is said and waits until the stream has it. */
const append = async (
  connection: NatsConnection,
  key: WriterKey,
  subject: string,
  said: object,
): Promise<void> => {
  const bytes = Buffer.from(JSON.stringify(said));
  const head = headers();
  head.set('signature', key.sign(payloadTypes.event, bytes));
  await connection.request(subject, bytes, { headers: head, timeout: 5_000 });
};

const stopped = new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));

const answer = async (): Promise<void> => {
  const { connection, key } = await open(host);
  const db = new Database(join(folder, 'minimal.db'));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec('CREATE TABLE IF NOT EXISTS journal (number INTEGER PRIMARY KEY, request BLOB, outcome TEXT)');
  const note = db.prepare('INSERT OR REPLACE INTO journal VALUES (?, ?, NULL)');
  const end = db.prepare('UPDATE journal SET outcome = ? WHERE number = ?');
  const inbox = createInbox(inboxOf(host));
  connection.subscribe(inbox, {
    callback: (_error, message) => {
      if (!message.reply || !isGood(message, asker)) return;
      const { number } = JSON.parse(message.string()) as { number: number };
      note.run(number, message.data);
      message.respond();
      const outcome = { number, evidence: 'done' };
      end.run(JSON.stringify(outcome), number);
      void append(connection, key, `ka.${fleet}.${host}.minimal.Done.${number}`, outcome);
    },
  });
  const pull = JSON.stringify({ batch: times * 2, expires: 600e9 });
  connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${eventStream}.${host}`, pull, { reply: inbox });
  await stopped;
  await connection.close();
};

const ask = async (): Promise<void> => {
  const { connection, key } = await open(asker);
  const inbox = createInbox(inboxOf(asker));
  const taken: number[] = [];
  let [number, askedAt] = [Date.now(), 0];
  const next = () => {
    askedAt = performance.now();
    number += 1;
    return append(connection, key, `ka.${fleet}.${asker}.minimal.Asked.${number}.${host}`, { number });
  };
  const all = new Promise<void>((resolve) => {
    connection.subscribe(inbox, {
      callback: (_error, message) => {
        if (!isGood(message, host)) return;
        taken.push(performance.now() - askedAt);
        if (taken.length === times) resolve();
        else void next();
      },
    });
  });
  const manager = await connection.jetstreamManager({ checkAPI: false });
  await manager.consumers.add(eventStream, {
    ...{
      name: 'minimal',
      deliver_subject: inbox,
      deliver_policy: DeliverPolicy.New,
      ack_policy: AckPolicy.None,
    },
    filter_subject: `ka.${fleet}.${host}.minimal.>`,
  });
  await next();
  await all;
  process.stdout.write(String(median(taken)));
  await connection.close();
};

if (does === 'asks') await ask();
else await answer();
