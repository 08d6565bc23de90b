import { describe, expect, it } from 'vitest';
import { isWithheld } from '../../eventlog/tree/log-tree.ts';
import { sha256 } from '../../schemas/hash.ts';
import { smallLog } from '../testing/recorded-log.ts';
import { isBad, type LogRecord, readEventRecords, writeEventRecords } from './event-records.ts';

const log = smallLog();
const header = log.header();
const records: LogRecord[] = log.messages.map((message, index) => {
  if (index !== 1) return message;
  const { bytes, ...rest } = message;
  return { ...rest, sha256: sha256(bytes) };
});
const text = [...writeEventRecords(header, records)].join('');

const read = (file: string | Uint8Array) => {
  const exported = readEventRecords(Buffer.from(file));
  return [exported.header, ...exported.records];
};
const badLines = (file: string | Uint8Array) => read(file).flatMap((one) => (isBad(one) ? [one.line] : []));

describe('the records of an exported log', () => {
  it('are read as they were written', () => {
    expect(read(text)).toEqual([
      header,
      ...records.map((one) => (isWithheld(one) ? one : { ...one, bytes: Buffer.from(one.bytes) })),
    ]);
    expect(JSON.parse(text.split('\n')[0] ?? '')).toEqual({ format: 'kernel-agent log 1', ...header });
  });

  it('are the same when they are read a second time', () => {
    const { records: exported } = readEventRecords(Buffer.from(text));
    expect([...exported]).toEqual([...exported]);
  });

  it.each([
    ['a space more', text.replace('{"sequence":3', '{"sequence": 3'), [4]],
    ['a space at the end', text.replace('"}\n{"sequence":4', '"} \n{"sequence":4'), [4]],
    ['another order', text.replace('"fleet":"reauktion","epoch":1', '"epoch":1,"fleet":"reauktion"'), [1]],
    ['a field more', text.replace('{"sequence":3,', '{"sequence":3,"more":1,'), [4]],
    ['a field that occurs twice', text.replace('{"sequence":3,', '{"sequence":9,"sequence":3,'), [4]],
    ['a number spelt another way', text.replace('"sequence":3', '"sequence":3.0'), [4]],
    ['a letter spelt another way', text.replace('"subject":"ka', '"subject":"k\\u0061'), [2]],
    [
      'padding left out',
      text.replace('=="}\n', '"}\n'),
      [text.slice(0, text.indexOf('=="}\n')).split('\n').length],
    ],
    ['an empty line', text.replace('\n', '\n\n'), [2]],
    ['Windows line ends', text.replace('\n', '\r\n'), [1]],
    ['a byte order mark', `\ufeff${text}`, [1]],
    ['no end', text.slice(0, -1), [7]],
    ['nothing', '', [1]],
    ['a format that is not this', text.replace('log 1', 'log 2'), [1]],
    ['no sequence', text.replace('"sequence":3', '"sequence":0'), [4]],
    [
      'both bytes and their hash',
      text.replace('"}\n{"sequence":4', `","sha256":"${sha256('')}"}\n{"sequence":4`),
      [4],
    ],
    ['no JSON', text.replace('{"sequence":3', '{sequence:3'), [4]],
  ])('are bad with %s', (_, changed, lines) => {
    expect(changed).not.toBe(text);
    expect(badLines(changed)).toEqual(lines);
  });

  it('are bad where they are no UTF-8', () => {
    const bytes = Buffer.from(text);
    bytes[text.indexOf('reauktion')] = 0xff;
    expect(badLines(bytes)).toEqual([1]);
  });
});
