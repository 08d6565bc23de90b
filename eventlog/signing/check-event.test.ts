import { expect, it } from 'vitest';
import { exampleTrust } from '../../coordinator/testing/example-plan.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { checkEvent } from './check-event.ts';
import { payloadTypes } from './writer-key.ts';

/** Why an event of this type and data is refused, although its signature is good. */
const refusalOf = (type: string, data: string): string => {
  const text = `{"specversion":"1.0","id":"iter5.${type}.1","source":"fresnel","type":"${type}","subject":"iter5","fleet":"reauktion","time":"2026-05-11T00:00:00Z","iteration":"iter5","attempt":1,"writerseq":1,"data":${data}}`;
  const bytes = new TextEncoder().encode(text);
  const signature = testKey('fresnel').sign(payloadTypes.event, bytes);
  const subject = `ka.reauktion.fresnel.iter5.${type}.1`;
  const checked = checkEvent(exampleTrust, { sequence: 1, subject, bytes, signature });
  return 'refused' in checked ? checked.refused.why : 'taken';
};

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

it('refuses a value that nests deeper than the stack allows, whether or not its type is known', () => {
  expect(refusalOf('Thing', nested(10))).toBe('taken');
  expect(refusalOf('Thing', nested(100_000))).toContain('must not nest more than 50 deep');
  const failed = (seen: string) => `{"fault":"work","reason":"x","output":[],"begun":[],"seen":${seen}}`;
  expect(refusalOf('BackupFailed', failed(nested(10)))).toBe('taken');
  expect(refusalOf('BackupFailed', failed(nested(100_000)))).toContain('must not nest more than 50 deep');
});

it('says in one sentence what is wrong a hundred thousand times', () => {
  const output = `[${Array(100_000).fill(1).join()}]`;
  const why = refusalOf('BackupFailed', `{"fault":"work","reason":"x","output":${output}}`);
  expect(why).toContain('and 99999 more');
  expect(why.length).toBeLessThan(500);
});
