import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { headers } from 'nats';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { signatureHeader } from '../../eventlog/signing/check-event.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { EventLog } from '../../eventlog/stream/event-log.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { type LogServer, startLogServer } from '../../test/log-server.ts';
import { createRandom } from '../../test/simulation/random.ts';
import { summaries } from '../commands/standing.ts';
import { readHistory } from '../testing/recorded-history.ts';
import { KeptLog } from './kept-log.ts';

const folder = mkdtempSync(join(tmpdir(), 'ka-kept-'));
afterAll(() => rmSync(folder, { recursive: true }));

type Connection = Awaited<ReturnType<LogServer['connect']>>;
const publish = async (connection: Connection, messages: readonly Partial<LoggedEvent>[]) => {
  for (const { subject = '', bytes, signature = '' } of messages) {
    const head = headers();
    head.set(signatureHeader, signature);
    await connection.jetstream().publish(subject, bytes, { headers: head });
  }
};

/** A server with such a log. */
const serve = async (trust: Trust, messages: readonly Partial<LoggedEvent>[]): Promise<Connection> => {
  const server = await startLogServer(trust.fleet, ['boltzmann']);
  onTestFinished(() => server.stop());
  const connection = await server.connect('admin');
  await publish(connection, messages);
  return connection;
};

const plain = (events: readonly LoggedEvent[]) =>
  events.map((logged) => ({ ...logged, bytes: Buffer.from(logged.bytes).toString('utf8') }));

/** Reads everything that a person may ask for. @returns also what was told, and whether it began from the copy. */
const readAll = async (connection: Connection, trust: Trust, copy?: { file: string; by: string }) => {
  const told: string[] = [];
  const log = new EventLog(connection, trust);
  const following = vi.spyOn(log, 'follow');
  const kept = new KeptLog(log, (alarms) => void told.push(...alarms.lines()), copy);
  const standing = await kept.standing({ details: true });
  const isFromCopy = following.mock.calls.at(-1)?.[0].after !== undefined;
  const { events, state } = await kept.read();
  const [name = ''] = [...state.iterations.keys()];
  const one = await kept.standing({ iteration: name });
  const found = {
    told,
    standing: summaries(standing),
    writers: standing.state.writers.toObject(),
    untold: standing.state.untold.toObject(),
    events: plain(events),
    iterations: state.iterations.toObject(),
    one: [one.state.iterations.get(name), plain(one.events)],
  };
  return { found, isFromCopy };
};

const histories = ['closed', 'revoked-key', 'restored-log', 'retried', 'refused', 'fallback', 'conflict'];

it.each(histories)('a log of %s reads the same with a copy that was made at any time', async (name) => {
  const { events, trust } = readHistory(name);
  const file = join(folder, name, 'log.db');
  const connection = await serve(trust, []);
  const parts = 6;
  for (let part = 0; part <= parts; part += 1) {
    const [from, to] = [part - 1, part].map((nth) => Math.max(0, Math.floor((events.length * nth) / parts)));
    await publish(connection, events.slice(from, to));
    const { found } = await readAll(connection, trust);
    for (let again = 0; again < 2; again += 1) {
      const kept = await readAll(connection, trust, { file, by: 'these keys' });
      expect(kept.found).toEqual(found);
      // A key that was revoked since makes the copy of before worthless.
      if (again > 0 && part > 0) expect(kept.isFromCopy).toBe(true);
    }
  }
});

describe('a copy', () => {
  const { events, trust } = readHistory('closed');
  const by = 'these keys';
  /** A message that is no event, in the middle: it is told at every reading. */
  const forged = { ...events[0], subject: `ka.${trust.fleet}.boltzmann._.AgentStarted.99` };
  let server: LogServer;
  let connection: Connection;
  let good: Buffer;
  const file = join(folder, 'copy', 'log.db');
  const copy = { file, by };
  let expected: Awaited<ReturnType<typeof readAll>>['found'];
  beforeAll(async () => {
    server = await startLogServer(trust.fleet, ['boltzmann']);
    connection = await server.connect('admin');
    await publish(connection, [...events.slice(0, 20), forged, ...events.slice(20)]);
    expected = (await readAll(connection, trust)).found;
    expect(expected.told.length).toBeGreaterThan(0);
    await readAll(connection, trust, copy);
    good = readFileSync(file);
  });
  afterAll(() => server.stop());

  it('is read the second time, and tells again what is wrong with the log', async () => {
    const { isFromCopy, found } = await readAll(connection, trust, copy);
    expect(isFromCopy).toBe(true);
    expect(found.standing).toEqual(expected.standing);
    expect(new Set(found.told.map((one) => JSON.stringify(one)))).toEqual(
      new Set(expected.told.map((one) => JSON.stringify(one))),
    );
  });

  it('changes no reading, whichever bit of it is another one', async () => {
    const random = createRandom(7);
    let noticed = 0;
    for (let tried = 0; tried < 60; tried += 1) {
      const bytes = Buffer.from(good);
      // Several at a time, and some of them where the tables themselves are described.
      for (let bit = 0; bit < 1 + (tried % 4) * 8; bit += 1) {
        const at = random.below(tried % 3 === 0 ? 8192 : bytes.length);
        bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random.below(8)), at);
      }
      for (const end of ['-wal', '-shm']) rmSync(file + end, { force: true });
      writeFileSync(file, bytes);
      const { found, isFromCopy } = await readAll(connection, trust, copy);
      if (!isFromCopy) noticed += 1;
      expect({ ...found, told: null }).toEqual({ ...expected, told: null });
    }
    expect(noticed).toBeGreaterThan(10);
  }, 60_000);

  it.each([
    ['is checked by other keys', (bytes: Buffer) => bytes, 'other keys'],
    ['is no database', () => Buffer.from('nothing of that kind'), by],
    ['is empty', () => Buffer.alloc(0), by],
    ['is cut', (bytes: Buffer) => bytes.subarray(0, bytes.length / 2), by],
  ])('that %s is made again', async (_, change, readBy) => {
    writeFileSync(file, change(good));
    const first = await readAll(connection, trust, { file, by: readBy });
    expect(first.isFromCopy).toBe(false);
    expect(first.found.standing).toEqual(expected.standing);
    expect((await readAll(connection, trust, { file, by: readBy })).isFromCopy).toBe(true);
  });

  it('of another log is not believed, whether that log is shorter, longer or as long', async () => {
    for (const name of ['aborted', 'rejected', 'fallback', 'retried']) {
      const other = readHistory(name);
      const there = await serve(
        other.trust,
        other.events.slice(0, name === 'retried' ? events.length + 1 : 1e9),
      );
      writeFileSync(file, good);
      const { found } = await readAll(there, other.trust, copy);
      expect(found).toEqual((await readAll(there, other.trust)).found);
    }
  });

  it('is not harmed by several readers at the same time', async () => {
    for (const before of [good, Buffer.alloc(0)]) {
      writeFileSync(file, before);
      const all = await Promise.all(Array.from({ length: 4 }, () => readAll(connection, trust, copy)));
      for (const { found } of all) expect(found.standing).toEqual(expected.standing);
      expect((await readAll(connection, trust, copy)).isFromCopy).toBe(true);
    }
  });

  it('that can’t be kept is none', async () => {
    const { found } = await readAll(connection, trust, { file: '/dev/null/log.db', by });
    expect(found.standing).toEqual(expected.standing);
    expect(existsSync('/dev/null/log.db')).toBe(false);
  });
});
