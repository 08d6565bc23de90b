import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { generateWriterKey, readWriterKey } from '../../eventlog/signing/writer-key.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { changeFleetFile, withHost } from './fleet-file.ts';

const newKey = () => readWriterKey(generateWriterKey()).publicKey;
const old = newKey();
const keys = { publicKey: newKey(), next: null };
const fileWith = (hosts: string) => `# the fleet of the reauktion
fleet: reauktion
signingKey: ${'A'.repeat(40)} # of packages
admin: { publicKey: ${newKey()} }
coordinator:
  publicKey: ${newKey()}   # on hertz
operators: {}
${hosts}`;
const pinned = `hosts:
  # the PineBook
  fresnel: { role: board, publicKey: ${old}, graceSeconds: 60 } # loses power at times
`;
const board = { host: 'fresnel', role: 'board', keys, replacesKey: false } as const;
const hostsOf = (text: string) => Fleet.parse(parseDocument(text).toJS()).hosts;

it.each(['hosts: {} # none yet\n', pinned])('adds a host, and does not change the rest: %j', (hosts) => {
  const before = fileWith(hosts);
  const after = withHost(before, { ...board, host: 'boltzmann', role: 'builder' });
  expect(hostsOf(after).boltzmann).toEqual({
    role: 'builder',
    publicKey: keys.publicKey,
    graceSeconds: 300,
  });
  const comments = before.match(/#.*/g) ?? [];
  expect(comments.every((comment) => after.includes(comment))).toBe(true);
  expect(hostsOf(after).fresnel).toEqual(hostsOf(before).fresnel);
});

it('changes nothing if the host is in it already, with its key or the next one', () => {
  const text = fileWith(pinned);
  expect(withHost(text, { ...board, keys: { publicKey: old, next: null } })).toBe(text);
  expect(withHost(text, { ...board, keys: { publicKey: keys.publicKey, next: old } })).toBe(text);
});

it('replaces a pinned key only if asked to, and keeps the lost one for old events', () => {
  const text = fileWith(pinned);
  expect(() => withHost(text, board)).toThrow(`pins ${old} for fresnel, and the host has ${keys.publicKey}`);
  const after = withHost(text, { ...board, replacesKey: true });
  expect(hostsOf(after).fresnel).toEqual({
    role: 'board',
    publicKey: keys.publicKey,
    earlierKeys: [old],
    revokedKeys: [old],
    graceSeconds: 60,
  });
  expect(after).toContain('# loses power at times');
});

it('refuses a host that has another role in the fleet', () => {
  expect(() => withHost(fileWith(pinned), { ...board, role: 'builder' })).toThrow('has fresnel as a board');
});

it('refuses a machine that has the key of another host', () => {
  expect(() =>
    withHost(fileWith(pinned), { ...board, host: 'boltzmann', keys: { publicKey: old, next: null } }),
  ).toThrow(/has the key that the fleet's file pins for fresnel/);
});

it('changes the file as it is now, and leaves no lock behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ka-fleet-'));
  try {
    const file = join(folder, 'fleet.yaml');
    writeFileSync(file, fileWith('hosts: {}\n'));
    const names = ['boltzmann', 'fermi', 'hertz'];
    for (const host of names)
      await changeFleetFile(file, (text) =>
        withHost(text, { ...board, host, keys: { publicKey: newKey(), next: null } }),
      );
    expect(Object.keys(hostsOf(readFileSync(file, 'utf8')))).toEqual(names);
    expect(readdirSync(folder)).toEqual(['fleet.yaml']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
