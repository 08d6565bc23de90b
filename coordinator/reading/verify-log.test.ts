import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { rotation } from '../../eventlog/signing/key-history.ts';
import type * as writerKey from '../../eventlog/signing/writer-key.ts';
import { generateWriterKey, payloadTypes, readWriterKey } from '../../eventlog/signing/writer-key.ts';
import { logOrigin, signCheckpoint } from '../../eventlog/tree/checkpoint.ts';
import { isWithheld, LogTree, type WithheldMessage } from '../../eventlog/tree/log-tree.ts';
import { noIteration, parseSubject } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import { isThorough } from '../../test/thorough/thorough.ts';
import {
  type LogHeader,
  type LogRecord,
  readEventRecords,
  writeEventRecords,
} from '../export/event-records.ts';
import { exampleTrust } from '../testing/example-plan.ts';
import { RecordedLog, smallLog } from '../testing/recorded-log.ts';
import { testKey } from '../testing/test-key.ts';
import { type LogFlaw, type LogSource, type VerifiedLog, verifyLog, verifyWithBlobs } from './verify-log.ts';

// The same events are checked some ten thousand times, nearly all of them unchanged: their known signatures are cached.
vi.mock('../../eventlog/signing/writer-key.ts', async (importOriginal) => {
  const real = await importOriginal<typeof writerKey>();
  const known = new Map<string, unknown>();
  const once = <Value>(key: string, find: () => Value): Value => {
    const there = (known.get(key) as Value | undefined) ?? find();
    if (known.size < 20_000) known.set(key, there);
    return there;
  };
  return {
    ...real,
    rawPublicKey: (key: string) => once(key, () => real.rawPublicKey(key)),
    isSignedBy: (...[key, type, bytes, signature]: Parameters<typeof real.isSignedBy>) =>
      once([key, type, signature, sha256(bytes)].join(), () => real.isSignedBy(key, type, bytes, signature)),
    isRawSignedBy: (...[key, bytes, signature]: Parameters<typeof real.isRawSignedBy>) =>
      once([key, Buffer.from(signature).toString('hex'), sha256(bytes)].join(), () =>
        real.isRawSignedBy(key, bytes, signature),
      ),
  };
});

const trust = exampleTrust;
const small = smallLog();
const fileOf = (header: LogHeader, records: readonly LogRecord[]): Buffer =>
  Buffer.from([...writeEventRecords(header, records)].join(''));
const file = fileOf(small.header(), small.messages);
const lines = file.toString().split('\n').slice(0, -1);
const verify = (changed: Uint8Array): VerifiedLog => verifyLog(trust, readEventRecords(changed));
/** Checks signatures in other threads, ahead of everything else. */
const verifyAhead = (source: LogSource): Promise<VerifiedLog> =>
  verifyWithBlobs(trust, source, async () => ({ lacks: 'no event here has a blob' }));
const verifyLines = (changed: readonly string[]): VerifiedLog =>
  verify(Buffer.from(changed.map((line) => `${line}\n`).join('')));
const verifyMessages = (messages: readonly LogRecord[], header = small.header()): VerifiedLog =>
  verify(fileOf(header, messages));
const first = ({ faults }: VerifiedLog): LogFlaw => faults[0] ?? expect.fail('nothing was found');
/** What a careful attacker would do: every message gets the sequence of its new place. */
const renumbered = <Kind extends LogRecord>(records: readonly Kind[]): Kind[] =>
  records.map((record, index) => ({ ...record, sequence: index + 1 }));

describe('a recorded log', () => {
  it('passes the check, from an export and as the log holds it', () => {
    const whole = { events: 6, checkpoints: 2, withheld: [], faults: [], acknowledged: [] };
    expect(verify(file)).toEqual(whole);
    expect(verifyLog(trust, { records: small.messages })).toEqual({ ...whole, checkpoints: 1 });
  });

  const bits = [0, 1, 2, 3, 4, 5, 6, 7];
  it(`fails the check after a change of ${isThorough ? 'any bit' : 'a bit of any byte'}, and the event that holds it is named first`, () => {
    // Only one event of each kind: this test is quadratic.
    const few = fileOf({ ...small.header(), size: 4, note: small.note(4) }, small.messages.slice(0, 4));
    expect(verify(few)).toMatchObject({ events: 4, checkpoints: 2, faults: [] });
    const changed = Buffer.from(few);
    let line = 0;
    for (const [place, byte] of few.entries()) {
      for (const bit of isThorough ? bits : [place % 8]) {
        changed[place] = byte ^ (1 << bit);
        const { faults } = verify(changed);
        if (faults[0]?.sequence !== line)
          expect.fail(
            `bit ${bit} of byte ${place}, in line ${line + 1}: ${JSON.stringify(faults[0] ?? 'nothing found')}`,
          );
      }
      changed[place] = byte;
      if (byte === 0x0a) line += 1;
    }
    expect(line).toBe(5);
  });

  it('fails the check without any one of its lines', () => {
    for (const place of lines.keys())
      expect(first(verifyLines(lines.toSpliced(place, 1))).sequence).toBe(place);
  });

  it('fails the check with any two of its lines exchanged', () => {
    for (const one of lines.keys())
      for (let other = one + 1; other < lines.length; other += 1) {
        const swapped = lines.with(one, lines[other] ?? '').with(other, lines[one] ?? '');
        expect(first(verifyLines(swapped)).sequence).toBe(one);
      }
  });

  it('fails the check with any of its lines repeated, anywhere', () => {
    for (const line of lines)
      for (let place = 0; place <= lines.length; place += 1) {
        const repeated = lines.toSpliced(place, 0, line);
        const differs = repeated.findIndex((text, index) => text !== lines[index]);
        expect(first(verifyLines(repeated)).sequence).toBe(differs);
      }
  });

  it('fails the check if it is cut, at any line and at any byte', () => {
    for (const length of lines.keys())
      expect(first(verifyLines(lines.slice(0, length))).sequence).toBe(length);
    let line = 0;
    for (const [place, byte] of file.entries()) {
      expect(first(verify(file.subarray(0, place))).sequence).toBe(line);
      if (byte === 0x0a) line += 1;
    }
  });

  /** Another event that the writer of a message could have signed in its place. */
  const forkOf = ({ subject, bytes }: KeptMessage): Omit<KeptMessage, 'sequence'> => {
    const writer = parseSubject(subject)?.writer ?? '';
    const forked = Buffer.from(Buffer.from(bytes).toString().replace('2026-05-11', '2026-05-12'));
    return { subject, bytes: forked, signature: testKey(writer).sign(payloadTypes.event, forked) };
  };

  it('fails the check with a second event of a writer with the same number', () => {
    for (const [index, message] of small.messages.entries()) {
      const forked = { ...message, ...forkOf(message) };
      const both = renumbered(small.messages.toSpliced(index + 1, 0, forked));
      const found = verifyMessages(both);
      expect(first(found)).toMatchObject({ sequence: index + 2, subject: message.subject });
      expect(first(found).why).toContain(`the one at sequence ${index + 1} counts`);
    }
  });

  it('fails the check with another event of a writer instead', () => {
    const exact: number[] = [];
    for (const [index, message] of small.messages.entries()) {
      const forked = { ...message, ...forkOf(message) };
      const { sequence, until = sequence } = first(verifyMessages(small.messages.with(index, forked)));
      expect(sequence).toBeLessThanOrEqual(message.sequence);
      expect(until).toBeGreaterThanOrEqual(message.sequence);
      if (sequence === until) exact.push(sequence);
    }
    // If the writer goes on, its next event shows the fault; otherwise the next checkpoint shows a range.
    expect(exact).toEqual([1, 2]);
  });

  it('fails the check with an event that another writer signed, and with another writer’s event', () => {
    for (const [index, message] of small.messages.entries())
      for (const other of trust.writers.keys()) {
        const [ka, fleet, writer, ...rest] = message.subject.split('.');
        if (other === writer) continue;
        const signature = testKey(other).sign(payloadTypes.event, message.bytes);
        for (const subject of [message.subject, [ka, fleet, other, ...rest].join('.')])
          expect(
            first(verifyMessages(small.messages.with(index, { ...message, subject, signature }))).sequence,
          ).toBe(message.sequence);
      }
  });

  it('fails the check after a careful change', () => {
    for (const one of small.messages) {
      const dropped = renumbered(small.messages.filter((message) => message !== one));
      expect(verifyMessages(dropped).faults).not.toEqual([]);
      for (const other of small.messages.slice(one.sequence)) {
        const swapped = small.messages.with(one.sequence - 1, other).with(other.sequence - 1, one);
        const { sequence, until = sequence } = first(verifyMessages(renumbered(swapped)));
        // A checkpoint shows a range that begins after the checkpoint before it.
        expect(until === sequence || (sequence <= one.sequence && one.sequence <= until)).toBe(true);
      }
    }
  });
});

describe('a large log', () => {
  const large = new RecordedLog();
  const writers = ['fresnel', 'boltzmann', 'hertz', '@mfritsche', 'coordinator'];
  for (let number = 1; number <= 400; number += 1) {
    const writer = writers[(number * 7) % writers.length] ?? '';
    const data = { text: 'x'.repeat((number * 37) % 600) };
    large.append(writer, { type: 'LaterThanThis', iteration: `iter${number % 9}`, attempt: number, data });
    if (number % 50 === 0) large.checkpoint('fresnel', number / 50);
  }
  const bytes = fileOf(large.header(), large.messages);
  const text = bytes.toString().split('\n').slice(0, -1);
  const lineOf = (place: number) => bytes.subarray(0, place).filter((byte) => byte === 0x0a).length;
  const seed = 20260511;

  it('passes the check', () => {
    expect(verify(bytes)).toEqual({
      events: 408,
      checkpoints: 9,
      withheld: [],
      faults: [],
      acknowledged: [],
    });
  });

  it(`fails the check after a random change, seed ${seed}, and ahead in other threads alike`, async () => {
    const place = fc.nat(text.length - 1);
    const bit = fc.tuple(fc.nat(bytes.length - 1), fc.nat(7)).map(([at, shift]) => {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ (1 << shift);
      return { changed, expected: lineOf(at) };
    });
    const ofLines = (change: (one: number, other: number) => string[]) =>
      fc.tuple(place, place).map(([one, other]) => {
        const after = change(Math.min(one, other), Math.max(one, other));
        const differs = after.findIndex((line, index) => line !== text[index]);
        const expected = differs < 0 ? after.length : differs;
        return { changed: Buffer.from(after.map((line) => `${line}\n`).join('')), expected };
      });
    const dropped = ofLines((one) => text.toSpliced(one, 1));
    const swapped = ofLines((one, other) => {
      const to = one === other ? (one + 1) % text.length : other;
      return text.with(one, text[to] ?? '').with(to, text[one] ?? '');
    });
    const repeated = ofLines((one, other) => text.toSpliced(other, 0, text[one] ?? ''));
    const cut = ofLines((one) => text.slice(0, one));
    await fc.assert(
      fc.asyncProperty(fc.oneof(bit, dropped, swapped, repeated, cut), async ({ changed, expected }) => {
        const verified = verify(changed);
        expect(first(verified).sequence).toBe(expected);
        expect(await verifyAhead(readEventRecords(changed))).toEqual(verified);
      }),
      { seed, numRuns: 50 },
    );
  });
});

const withhold = ({ sequence, subject, signature, bytes }: KeptMessage): WithheldMessage => ({
  sequence,
  subject,
  signature,
  sha256: sha256(bytes),
});

describe('a log of which only one iteration is shown', () => {
  const log = new RecordedLog();
  const say = (writer: string, iteration: string, attempt: number) =>
    log.append(writer, { type: 'LaterThanThis', iteration, attempt, data: {} });
  for (let attempt = 1; attempt < 6; attempt += 1)
    for (const [iteration, number] of [
      ['iter5', attempt],
      ['iter6', attempt],
      ['iter6', attempt + 10],
    ] as const)
      say(iteration === 'iter5' ? 'hertz' : 'fresnel', iteration, number);
  log.checkpoint('fresnel', 1);
  for (const writer of ['hertz', 'fresnel']) say(writer, 'iter5', 9);
  const shown = log.messages.map((message) =>
    message.subject.includes('.iter6.') ? withhold(message) : message,
  );
  const check = (records: readonly LogRecord[]) => verifyMessages(records, log.header());

  it('passes the check, and lists the iterations that are withheld', () => {
    expect(check(shown)).toEqual({
      events: 8,
      checkpoints: 2,
      withheld: ['iter6'],
      faults: [],
      acknowledged: [],
    });
  });

  it('fails the check if a withheld message is changed', () => {
    const index = shown.findIndex(isWithheld);
    const one = shown[index] as WithheldMessage;
    const other = { ...one, sha256: sha256('another') };
    expect(first(check(shown.with(index, other))).sequence).toBeLessThanOrEqual(one.sequence);
    const moved = { ...one, subject: one.subject.replace('iter6', 'iter7') };
    expect(check(shown.with(index, moved)).faults.length).toBeGreaterThan(0);
  });

  it('lists the iteration itself if one of its messages is withheld', () => {
    const index = shown.findLastIndex(({ subject }) => subject.includes('.hertz.iter5.'));
    const message = log.messages[index];
    if (!message) return expect.fail('the log holds no such message');
    expect(check(shown.with(index, withhold(message))).withheld).toEqual(['iter5', 'iter6']);
  });

  it('may not withhold a message of the fleet', () => {
    const index = shown.findIndex(({ subject }) => subject.includes('.Checkpointed.'));
    const message = log.messages[index];
    if (!message) return expect.fail('the log holds no checkpoint');
    expect(first(check(shown.with(index, withhold(message))))).toMatchObject({
      sequence: index + 1,
      why: 'it belongs to the whole fleet, and only its hash is here',
    });
  });
});

describe('a checkpoint in a log', () => {
  const started = () => {
    const log = new RecordedLog();
    log.append('hertz', { type: 'LaterThanThis', iteration: 'iter5', attempt: 1, data: {} });
    log.append('hertz', { type: 'LaterThanThis', iteration: 'iter5', attempt: 2, data: {} });
    return log;
  };
  const check = (log: RecordedLog) => verifyLog(trust, { records: log.messages });
  const other = new LogTree();
  for (const { subject, signature, bytes } of renumbered(small.messages.slice(0, 2)))
    other.add({ subject, signature, bytes, sequence: other.size + 1 });
  const noteOver = (tree: LogTree, key = testKey('coordinator')) =>
    signCheckpoint(logOrigin('reauktion', 1), { size: tree.size, root: tree.rootAt(tree.size) }, key);
  const rootOf = (tree: LogTree) => Buffer.from(tree.rootAt(tree.size)).toString('base64');

  it.each<[string, object, number, string]>([
    ['over another log', { root: rootOf(other), note: noteOver(other) }, 1, 'is not what it was'],
    ['that names another root than its note', { root: rootOf(other) }, 3, 'another size or root'],
    [
      'over more than there was',
      {
        size: 3,
        note: signCheckpoint(
          logOrigin('reauktion', 1),
          { size: 3, root: other.rootAt(2) },
          testKey('coordinator'),
        ),
        root: rootOf(other),
      },
      3,
      'it covers 3 messages, and 2 are before it',
    ],
    ['that another writer signed', { note: noteOver(other, testKey('hertz')) }, 3, 'is not signed by'],
    ['that goes on from what the log was not', { from: 1 }, 3, 'its proof does not show'],
    ['with a proof of something else', { proof: [rootOf(other)] }, 3, 'its proof does not show'],
  ])('%s is found', (_, change, sequence, why) => {
    const log = started();
    log.checkpoint('fresnel', 1, change);
    expect(first(check(log)).sequence).toBe(sequence);
    expect(first(check(log)).why).toContain(why);
  });

  it('names the range if nothing else shows a change', () => {
    const log = started();
    log.checkpoint('fresnel', 1);
    log.append('hertz', { type: 'LaterThanThis', iteration: 'iter5', attempt: 3, data: {} });
    const said = log.seal('boltzmann', { type: 'LaterThanThis', iteration: 'iter5', attempt: 4, data: {} });
    const instead = log.seal('boltzmann', {
      type: 'LaterThanThis',
      iteration: 'iter5',
      attempt: 5,
      data: {},
    });
    log.append('boltzmann', { type: 'LaterThanThis', iteration: 'iter5', attempt: 4, data: {} });
    log.checkpoint('fresnel', 2);
    expect(check(log)).toEqual({ events: 6, checkpoints: 2, withheld: [], faults: [], acknowledged: [] });
    expect(log.messages.at(-2)).toEqual(said);
    const { faults } = verifyLog(trust, { records: log.messages.with(-2, instead) });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatchObject({ sequence: 3, until: 5 });
  });

  it('is checked with the key that the coordinator had then', async () => {
    const log = started();
    log.checkpoint('fresnel', 1);
    const [from, to] = [testKey('coordinator'), readWriterKey(generateWriterKey())];
    const data = rotation('reauktion', 'coordinator', from.publicKey, to);
    log.append('coordinator', { type: 'KeyRotated', iteration: noIteration, attempt: 1, data });
    log.use('coordinator', to);
    log.checkpoint('fresnel', 2);
    expect(check(log)).toMatchObject({ checkpoints: 2, faults: [] });
    expect(verifyMessages(log.messages, log.header())).toMatchObject({ checkpoints: 3, faults: [] });
    // The old key is no longer the coordinator's.
    log.checkpoint('fresnel', 3, {
      note: signCheckpoint(logOrigin('reauktion', 1), { size: 5, root: Buffer.alloc(32) }, from),
    });
    log.use('coordinator', from);
    log.append('coordinator', { type: 'LaterThanThis', iteration: noIteration, attempt: 1, data: {} });
    const { faults } = check(log);
    expect(faults.map(({ sequence }) => sequence)).toEqual([6, 7]);
    // All of it is ahead of the rotation when its signatures are checked.
    expect(await verifyAhead({ records: log.messages })).toEqual(check(log));
  });

  it('of an earlier epoch shows nothing about a restored log', () => {
    const log = started();
    // The lost events came before it.
    log.checkpoint('fresnel', 1, { size: 2, root: rootOf(other), note: noteOver(other) });
    const data = { epoch: 2, by: 'mfritsche', rebuilt: 3, missing: 1 };
    log.append('@mfritsche', { type: 'LogRestored', iteration: noIteration, attempt: 2, data });
    log.epoch = 2;
    log.checkpoint('fresnel', 2);
    expect(check(log)).toMatchObject({ checkpoints: 1, faults: [] });
    log.epoch = 3;
    log.checkpoint('fresnel', 3);
    expect(first(check(log))).toMatchObject({
      sequence: 6,
      why: 'it is of epoch 3 of the log, and nobody has begun that one before it',
    });
  });
});

describe('the header of an export', () => {
  it.each<[string, Partial<LogHeader>, string]>([
    ['of another fleet', { fleet: 'sandbox' }, 'it is a log of sandbox, expected reauktion'],
    ['of another epoch', { epoch: 2 }, 'it names epoch 2 of the log'],
    ['of another size than its note', { size: 5 }, 'it names 5 messages, and its note is over 6'],
    [
      'with the note of a shorter log',
      { size: 5, note: small.note(5) },
      "the header's note ends before this",
    ],
  ])('%s is found', (_, change, why) => {
    expect(first(verifyMessages(small.messages, { ...small.header(), ...change })).why).toContain(why);
  });

  it('with the note of a shorter log is valid for that log', () => {
    const { faults } = verifyMessages(small.messages.slice(0, 5), {
      ...small.header(),
      size: 5,
      note: small.note(5),
    });
    expect(faults).toEqual([]);
  });
});
