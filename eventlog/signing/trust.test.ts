import { expect, it } from 'vitest';
import { exampleFleet } from '../../coordinator/testing/example-plan.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { fleetLogins } from '../../deploy/nats-config.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { TrustFile, trustFileOf } from '../../schemas/trust-file.ts';
import { trustIn, trustNow, trustOf } from './trust.ts';

const [now, stolen] = [testKey('boltzmann').publicKey, testKey('stolen').publicKey];
const withRevoked = (revokedKeys: string[], earlierKeys: string[] = [stolen]) => ({
  ...exampleFleet,
  hosts: { boltzmann: { role: 'builder', publicKey: now, earlierKeys, revokedKeys } },
});

it('a revoked key is known to readers of the whole log, and to nobody else', () => {
  const fleet = Fleet.parse(withRevoked([stolen]));
  expect(trustIn(fleet).writers.get('boltzmann')?.keys).toEqual([now, stolen]);
  expect(trustNow(fleet).writers.get('boltzmann')?.keys).toEqual([now]);
  expect(trustNow(Fleet.parse(withRevoked([]))).writers.get('boltzmann')?.keys).toEqual([now, stolen]);
  expect(fleetLogins(fleet).writers.map(({ publicKey }) => publicKey)).not.toContain(stolen);
  expect(fleetLogins(Fleet.parse(withRevoked([]))).writers.map(({ publicKey }) => publicKey)).toContain(
    stolen,
  );
});

it('a trust file of a newer fleet is read: what is not known here counts as none', () => {
  const file = trustFileOf(exampleFleet);
  const [asks = { role: '', keys: [] }] = [file.writers.coordinator];
  const newer = {
    ...file,
    witnesses: ['w'],
    writers: {
      ...file.writers,
      '@architect': { ...file.writers['@architect'], may: ['approve', 'hold'], since: 'yesterday' },
      watcher: { ...asks, role: 'watcher' },
    },
  };
  const trust = trustOf(TrustFile.parse(newer));
  expect(trust.writers.get('@architect')?.may).toEqual(['approve']);
  expect(trust.writers.has('watcher')).toBe(false);
  expect([...trust.writers.keys()].toSorted()).toEqual(Object.keys(file.writers).toSorted());
});

it('a key is revoked only where it is still named, and belongs to one writer', () => {
  expect(Fleet.safeParse(withRevoked([stolen], [])).error?.issues[0]?.message).toContain(
    'not among earlierKeys',
  );
  const shared = withRevoked([], [exampleFleet.coordinator.publicKey]);
  expect(Fleet.safeParse(shared).error?.issues[0]?.message).toContain('the coordinator’s key as well');
});
