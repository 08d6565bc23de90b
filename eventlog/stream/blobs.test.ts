import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { LoggedEvent, NewEvent } from '../../schemas/events.ts';
import { cutTail, type LogServer, startLogServer, until } from '../../test/log-server.ts';
import { lacksOf } from '../signing/check-event.ts';
import { linkTo, type SealedEvent, sealEvent } from '../signing/seal.ts';
import { chunkBytes, holdsBlob, putBlob, readBlob } from './blobs.ts';
import { appendEvent, EventLog } from './event-log.ts';
import { blobStream } from './provision.ts';

const fleet = 'test';
const host = 'boltzmann';
let log: LogServer;
let writer: NatsConnection;
let reader: NatsConnection;
beforeEach(async () => {
  log = await startLogServer(fleet, [host, 'fermi']);
  writer = await log.connect(host);
  reader = await log.connect('coordinator');
});
afterEach(() => log.stop());

const place = { fleet, writer: host };
/** About three megabytes, no two chunks of which are the same. */
const symbols = Array.from({ length: 100_000 }, (_, n) => `symbol-${n}-of-the-kernel`);
const failed = (attempt: number, seen: unknown = symbols): NewEvent => ({
  type: 'BuildFailed',
  iteration: 'iter5',
  attempt,
  causationid: `coordinator/iter5.BuildRequested.${attempt}`,
  data: { fault: 'host', reason: 'it would not', output: [], begun: [], seen },
});
const seal = (event: NewEvent, last?: SealedEvent) =>
  sealEvent(
    event,
    { fleet, name: host, key: log.key(host) },
    last && linkTo(last.seq, last.bytes),
    '2026-05-11T08:00:00Z',
  );
const blobOf = ({ blobs }: SealedEvent) => {
  const [blob] = blobs;
  if (!blob) throw new Error('nothing was put aside');
  return blob;
};
const markerFor = (sealed: SealedEvent) => ({
  sha256: blobOf(sealed).sha256,
  sizeBytes: blobOf(sealed).bytes.length,
});
const chunk = (sealed: SealedEvent, index: number) => ({
  subject: `ka-blob.${fleet}.${host}.${blobOf(sealed).sha256}.${index}`,
  bytes: blobOf(sealed).bytes.slice(index * chunkBytes, (index + 1) * chunkBytes),
});
/** Appends an event without what it has put aside. */
const appendAlone = (sealed: SealedEvent) => appendEvent(writer, { ...sealed, blobs: [] });
const putChunk = ({ subject, bytes }: { subject: string; bytes: Uint8Array }) =>
  writer.jetstream().publish(subject, bytes);

/** Reads the log as a person does. */
const read = async () => {
  const told: string[] = [];
  const { events } = await new EventLog(reader, log.trust, {
    onAlarm: ({ why }) => void told.push(why),
    onRefused: ({ why }) => void told.push(`refused: ${why}`),
  }).read();
  return { events, told };
};
const seen = (logged: LoggedEvent | undefined) =>
  (logged?.event.data as { seen?: unknown } | undefined)?.seen;

it('an event of three megabytes is small in the log, and whole to its readers', async () => {
  const sealed = seal(failed(1));
  expect(sealed.bytes.length).toBeLessThan(1_000);
  expect(blobOf(sealed).bytes.length).toBeGreaterThan(2.5 * 1024 * 1024);
  expect(await appendEvent(writer, sealed)).toMatchObject({ outcome: 'appended' });
  expect(await appendEvent(writer, sealed)).toMatchObject({ outcome: 'there' });
  const { events, told } = await read();
  expect(told).toEqual([]);
  expect(seen(events[0])).toEqual(symbols);
  expect(Buffer.from(events[0]?.bytes ?? []).equals(sealed.bytes)).toBe(true);
});

it('a chunk that is missing leaves the event in its place, and what comes after it', async () => {
  const sealed = seal(failed(1));
  for (const index of [0, 2, 3, 4, 5])
    if (chunk(sealed, index).bytes.length > 0) await putChunk(chunk(sealed, index));
  await appendAlone(sealed);
  await appendEvent(writer, seal(failed(2, 'little'), sealed));
  const { events, told } = await read();
  expect(told).toHaveLength(1);
  expect(told[0]).toContain(`blob ${blobOf(sealed).sha256}`);
  expect(told[0]).toContain('chunk 2 of');
  expect(events.map((one) => lacksOf(one).length)).toEqual([1, 0]);
  expect(events[0]?.event).toMatchObject({ kind: 'unknown', type: 'BuildFailed', source: host });
  expect(seen(events[1])).toBe('little');
});

it('a wrong chunk counts as missing, and its own writer is told', async () => {
  const sealed = seal(failed(1));
  await putChunk({ ...chunk(sealed, 1), bytes: Buffer.from('something else') });
  await expect(appendEvent(writer, sealed)).rejects.toThrow(/holds other bytes than its name says/);
  for (const index of [2, 3, 4, 5])
    if (chunk(sealed, index).bytes.length > 0) await putChunk(chunk(sealed, index));
  await appendAlone(sealed);
  const { events, told } = await read();
  expect(told[0]).toContain('not what its hash says');
  expect(lacksOf(events[0] as LoggedEvent)).toHaveLength(1);
});

it('a follower gets everything again once what was missing is there', async () => {
  const sealed = seal(failed(1));
  await appendAlone(sealed);
  const stop = new AbortController();
  const handed: LoggedEvent[] = [];
  const lacking: string[] = [];
  const again: string[] = [];
  const following = new EventLog(reader, log.trust).follow(
    {
      signal: stop.signal,
      onLack: (_, why) => void lacking.push(why),
      onCut: (_, why) => void again.push(why),
    },
    (logged) => void handed.push(logged),
  );
  await until(() => lacking.length === 1);
  expect(handed.map(({ event }) => event.kind)).toEqual(['unknown']);
  await putBlob(writer, place, blobOf(sealed));
  await until(() => handed.length === 2);
  expect(again).toEqual(['whole']);
  expect(seen(handed[1])).toEqual(symbols);
  stop.abort();
  await following;
});

it('a stream that has lost its end accepts it again, and the writer notices the loss without reading the blob', async () => {
  const sealed = seal(failed(1));
  const marker = markerFor(sealed);
  expect(await holdsBlob(writer, place, marker)).toBe(false);
  await appendEvent(writer, sealed);
  expect(await holdsBlob(writer, place, marker)).toBe(true);
  await log.server.kill('SIGKILL');
  cutTail(join(log.folder, 'nats'), 0.3, blobStream);
  await log.server.restart();
  await until(() => writer.rtt().catch(() => undefined));
  await until(() => reader.rtt().catch(() => undefined));
  await until(() => read().then(({ told }) => told.length === 1));
  expect(await holdsBlob(writer, place, marker)).toBe(false);
  await putBlob(writer, place, blobOf(sealed));
  const { events, told } = await read();
  expect(told).toEqual([]);
  expect(seen(events[0])).toEqual(symbols);
});

it('a host reads its own blobs and those of its requests, and no other host’s', async () => {
  const sealed = seal(failed(1));
  await appendEvent(writer, sealed);
  const other = await log.connect('fermi');
  expect(await readBlob(writer, place, markerFor(sealed))).toHaveProperty('bytes');
  await expect(readBlob(other, place, markerFor(sealed))).rejects.toThrow();
  await expect(putBlob(other, place, blobOf(sealed))).rejects.toThrow();
});
