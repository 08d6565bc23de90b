import { headers, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoggedEvent } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import { type LogServer, people, person, startLogServer, until } from '../../test/log-server.ts';
import type { RefusedMessage } from '../signing/check-event.ts';
import { linkTo, type SealedEvent, sealEvent } from '../signing/seal.ts';
import { payloadTypes } from '../signing/writer-key.ts';
import { AppendConflict, appendEvent, EventLog } from './event-log.ts';

const fleet = 'test';
let log: LogServer;
let host: NatsConnection;
let reader: NatsConnection;
let admin: NatsConnection;

beforeAll(async () => {
  log = await startLogServer(fleet, ['boltzmann', 'fresnel']);
  host = await log.connect('boltzmann');
  reader = await log.connect('coordinator');
  admin = await log.connect('admin');
});
afterAll(() => log.stop());

const started = (version: string) => ({
  role: 'builder',
  version,
  bootId: 'b',
  release: 'r',
  package: null,
});

/** An event of boltzmann's own. */
const sealed = (
  attempt: number,
  { version = '1', time = '2026-05-11T08:00:00Z', seq = 0, name = 'boltzmann' } = {},
) =>
  sealEvent(
    { type: 'AgentStarted', iteration: '_', attempt, data: started(version) },
    { fleet, name, key: log.key(name) },
    seq === 0 ? undefined : { seq, hash: sha256('before') },
    time,
  );

const lastSequence = () => new EventLog(reader, log.trust).lastSequence();

/** Puts a message into the stream that none of our writers would. */
const smuggle = async (subject: string, bytes: Uint8Array | string, signature = ''): Promise<number> => {
  const head = headers();
  head.set('Ka-Signature', signature);
  return (await admin.jetstream().publish(subject, bytes, { headers: head })).seq;
};

describe('appending', () => {
  it('happens once: the same bytes again are there', async () => {
    const event = sealed(1);
    const first = await appendEvent(host, event);
    expect(first).toEqual({ outcome: 'appended', sequence: await lastSequence() });
    expect(await appendEvent(host, event)).toEqual({ ...first, outcome: 'there' });
    expect(await lastSequence()).toBe(first.outcome === 'appended' ? first.sequence : 0);
  });

  it('counts the same fact with another time, count and link as the same', async () => {
    const again = sealed(1, { time: '2027-01-01T00:00:00Z', seq: 7 });
    expect(await appendEvent(host, again)).toMatchObject({ outcome: 'there' });
  });

  it('refuses another fact on the same subject, and changes nothing', async () => {
    const before = await new EventLog(reader, log.trust).read();
    await expect(appendEvent(host, sealed(1, { version: '2' }))).rejects.toThrow(AppendConflict);
    expect(await new EventLog(reader, log.trust).read()).toEqual(before);
  });

  it('calls rubbish that holds the subject a conflict', async () => {
    await smuggle(`ka.${fleet}.boltzmann._.AgentStarted.90`, 'no JSON');
    await expect(appendEvent(host, sealed(90))).rejects.toThrow(AppendConflict);
  });

  it('compares with the first of two messages under a subject, for that one counts', async () => {
    const asks = (why: string) =>
      sealEvent(
        { type: 'AbortAsked', iteration: 'iter5', attempt: 1, data: { by: people[0], why } },
        { fleet, name: person, key: log.key(person) },
        undefined,
        '2026-05-11T08:00:00Z',
      );
    const own = await log.connect(person);
    const [first, second] = [asks('lunch'), asks('dinner')];
    const appended = await appendEvent(own, first);
    await smuggle(second.subject, second.bytes, second.signature);
    expect(await appendEvent(own, first)).toEqual({ ...appended, outcome: 'there' });
    await expect(appendEvent(own, second)).rejects.toThrow(AppendConflict);
  });

  it('says that the log has moved, and appends nothing', async () => {
    const last = await lastSequence();
    expect(await appendEvent(host, sealed(2), last - 1)).toEqual({ outcome: 'moved' });
    expect(await lastSequence()).toBe(last);
    expect(await appendEvent(host, sealed(2), last)).toEqual({ outcome: 'appended', sequence: last + 1 });
  });

  it('counts another fact as a conflict only if it was there before the decision', async () => {
    const last = await lastSequence();
    await appendEvent(host, sealed(3));
    const slower = sealed(3, { version: 'slower' });
    expect(await appendEvent(host, slower, last)).toEqual({ outcome: 'moved' });
    await expect(appendEvent(host, slower, last + 1)).rejects.toThrow(AppendConflict);
  });

  it('fails while the server does not let it', async () => {
    await expect(appendEvent(host, sealed(4, { name: 'fresnel' }))).rejects.toThrow();
  }, 10_000);
});

describe('reading', () => {
  it('refuses and reports what is not an event of its subject, and goes on', async () => {
    const text = (event: SealedEvent) => new TextDecoder().decode(event.bytes);
    const from = (await lastSequence()) + 1;
    const good = sealed(10);
    const otherFleet = sealEvent(
      { type: 'AgentStarted', iteration: '_', attempt: 11, data: started('1') },
      { fleet: 'other', name: 'boltzmann', key: log.key('boltzmann') },
      undefined,
      '2026-05-11T08:00:00Z',
    );
    const superseded = (subjectHost: string) => {
      const event = sealEvent(
        {
          type: 'BuildSuperseded',
          iteration: 'iter5',
          attempt: 1,
          host: 'boltzmann',
          data: {
            host: 'boltzmann',
            reason: { code: 'host-silent', host: 'boltzmann', silentSeconds: 61, graceSeconds: 60 },
          },
        },
        { fleet, name: 'coordinator', key: log.key('coordinator') },
        undefined,
        '2026-05-11T08:00:00Z',
      );
      return [
        `ka.${fleet}.coordinator.iter5.BuildSuperseded.1${subjectHost}`,
        event.bytes,
        event.signature,
      ] as const;
    };
    const unknown = text(good).replaceAll('AgentStarted', 'Invented');
    const sign = (body: string) =>
      log.key('boltzmann').sign(payloadTypes.event, new TextEncoder().encode(body));
    const subject = (rest: string, writer = 'boltzmann') => `ka.${fleet}.${writer}._.${rest}`;
    await smuggle(subject('AgentStarted.20'), 'no JSON', sign('no JSON'));
    await smuggle(subject('AgentStarted.21'), good.bytes, 'AAAA');
    await smuggle(
      subject('AgentStarted.22'),
      good.bytes,
      log.key('fresnel').sign(payloadTypes.event, good.bytes),
    );
    await smuggle(subject('AgentStarted.23', 'fresnel'), good.bytes, good.signature);
    await smuggle(subject('AgentStarted.24', 'nobody'), good.bytes, good.signature);
    await smuggle(subject('AgentStarted.25'), good.bytes, good.signature);
    await smuggle(subject('AgentStarted.10.fresnel'), good.bytes, good.signature);
    await smuggle(subject('AgentStarted.11'), otherFleet.bytes, otherFleet.signature);
    await smuggle(...superseded(''));
    await smuggle(...superseded('.fresnel'));
    await smuggle(...superseded('.boltzmann.again'));
    await smuggle(...superseded('.boltzmann'));
    await smuggle(subject('Invented.10'), unknown, sign(unknown));
    await appendEvent(host, good);

    const refused: RefusedMessage[] = [];
    const { events, lastSequence: last } = await new EventLog(reader, log.trust, {
      onRefused: (one) => refused.push(one),
    }).read();
    expect(last).toBe(from + 13);
    const added = events.filter(({ sequence }) => sequence >= from);
    expect(added.map(({ event }) => [event.type, event.kind])).toEqual([
      ['BuildSuperseded', 'step'],
      ['Invented', 'unknown'],
      ['AgentStarted', 'fleet'],
    ]);
    const now = refused.filter(({ sequence }) => sequence >= from);
    expect(now.map(({ sequence, why }) => [sequence - from, why.split(':')[0]])).toEqual([
      [0, "it can't be read"],
      [1, "its signature is not boltzmann's"],
      [2, "its signature is not boltzmann's"],
      [3, "its signature is not fresnel's"],
      [4, 'no key is pinned for the writer "nobody"'],
      ...[5, 6, 7, 8, 9, 10].map((n) => [
        n,
        n === 7
          ? 'it belongs to fleet other, and this is test'
          : expect.stringContaining('which is not what its subject says'),
      ]),
    ]);
  });

  it('takes the first of two messages under one subject, and tells of the second', async () => {
    const event = sealed(30);
    const before = await appendEvent(host, event);
    const second = sealed(30, { version: 'another' });
    const sequence = await smuggle(second.subject, second.bytes, second.signature);
    const refused: RefusedMessage[] = [];
    const { events } = await new EventLog(reader, log.trust, {
      onRefused: (one) => refused.push(one),
    }).read();
    expect(before).toEqual({ outcome: 'appended', sequence: sequence - 1 });
    expect(events.at(-1)).toMatchObject({ sequence: sequence - 1, event: { data: started('1') } });
    expect(refused.at(-1)).toEqual({
      sequence,
      subject: event.subject,
      cause: 'second',
      why: `it is the second message under this subject: the one at sequence ${sequence - 1} counts`,
    });
  });

  it('begins and ends where it is told', async () => {
    const sequences: number[] = [];
    await new EventLog(reader, log.trust).follow(
      { until: 3 },
      ({ sequence }) => void sequences.push(sequence),
    );
    expect(sequences.filter((sequence) => sequence > 3)).toEqual([]);
    expect(sequences).toContain(3);
    await new EventLog(reader, log.trust).follow({ until: 0 }, () => expect.unreachable());
  });

  it('hands nothing more over once its signal has fired', async () => {
    const stop = new AbortController();
    let handed = 0;
    await new EventLog(reader, log.trust).follow({ signal: stop.signal }, () => {
      handed += 1;
      stop.abort();
    });
    expect(handed).toBe(1);
  });
});

it('a follower loses nothing and hands nothing over twice, whatever happens to its consumer and the server', async () => {
  const from = (await lastSequence()) + 1;
  const stop = new AbortController();
  const seen: LoggedEvent[] = [];
  const connection = await log.connect(person);
  const following = new EventLog(connection, log.trust).follow(
    { signal: stop.signal },
    (logged) => void (logged.sequence >= from && seen.push(logged)),
  );
  let count = 100;
  const append = async (times: number) => {
    for (let n = 0; n < times; n += 1, count += 1)
      await until(() => appendEvent(host, sealed(count)).catch(() => false));
    await until(() => seen.length >= count - 100);
  };
  await append(3);
  const manager = await admin.jetstreamManager();
  for (const { name } of await manager.consumers.list('KA').next())
    if (name !== 'boltzmann' && name !== 'fresnel') await manager.consumers.delete('KA', name);
  await append(3);
  await log.server.kill('SIGKILL');
  await log.server.restart();
  await until(() => host.rtt().catch(() => false));
  await append(3);
  await connection.reconnect();
  await append(200);
  stop.abort();
  await following;
  expect(seen.map(({ sequence }) => sequence)).toEqual(seen.map((_, index) => from + index));
});

it('an empty log reads as empty', async () => {
  const empty = await startLogServer(fleet, []);
  try {
    const read = await new EventLog(await empty.connect('coordinator'), empty.trust).read();
    expect(read).toEqual({ events: [], lastSequence: 0 });
  } finally {
    await empty.stop();
  }
});

it('a writer counts its events and links each to its last', () => {
  const first = sealed(1);
  const second = sealEvent(
    { type: 'AgentStarted', iteration: '_', attempt: 2, data: started('1') },
    { fleet, name: 'boltzmann', key: log.key('boltzmann') },
    linkTo(first.seq, first.bytes),
    '2026-05-11T08:00:00Z',
  );
  const envelope = (event: SealedEvent) => JSON.parse(new TextDecoder().decode(event.bytes));
  expect(envelope(first).writerseq).toBe(1);
  expect(envelope(first)).not.toHaveProperty('prevhash');
  expect(envelope(second)).toMatchObject({ writerseq: 2, prevhash: sha256(first.bytes) });
});
