import { expect, it } from 'vitest';
import type { Surveyed } from './on-host/asked.ts';
import { hostPlaces } from './places.ts';
import { cutByRestart, unfit } from './plan.ts';

const machine: Surveyed = {
  uid: 0,
  enrolledAs: null,
  open: null,
  hostname: 'fresnel',
  node: { arch: 'arm64', abi: '115', version: '20.19.2', file: '/usr/bin/node' },
  systemd: '257',
  missing: [],
  lacking: [],
  hasUser: true,
  free: [],
  absent: [],
  other: [],
  key: null,
  sshPublicKey: null,
  isOwed: false,
  logins: [],
  links: {},
  units: [],
};
const wanted = { host: 'fresnel', fleet: 'reauktion' };
const as = (enrolledAs: Partial<NonNullable<Surveyed['enrolledAs']>>) =>
  unfit({ ...machine, enrolledAs: { ...wanted, keyFile: hostPlaces.key, ...enrolledAs } }, wanted);

it('accepts a machine without an agent, and one that is this host already', () => {
  expect(unfit(machine, wanted)).toEqual([]);
  expect(as({})).toEqual([]);
});

it.each([
  [{ host: 'boltzmann' }, /is enrolled as boltzmann, and a machine has one agent/],
  [{ fleet: 'lab' }, /is enrolled in the fleet lab, and this one is reauktion/],
  [{ keyFile: '/var/lib/kernel-agent/keys/host.nkey' }, /its key is in .* copy the folders/],
] as const)('refuses a machine that is enrolled otherwise: %j', (enrolledAs, why) => {
  expect(as(enrolledAs)).toEqual([expect.stringMatching(why)]);
});

it('refuses a machine without what the config presupposes', () => {
  expect(unfit({ ...machine, lacking: ['/srv/kernel-agent/gnupg'] }, wanted)).toEqual([
    expect.stringMatching(/^\/srv\/kernel-agent\/gnupg is not there/),
  ]);
});

it('reports the work that a restart would interrupt', () => {
  const cut = (open: Surveyed['open']) => cutByRestart({ ...machine, open }, 'fresnel');
  expect(cut(null)).toBeNull();
  expect(cut({ deadline: null, attempts: [], unsent: 3 })).toBeNull();
  expect(cut({ deadline: null, attempts: ['five build 1'], unsent: 0 })).toMatch(/works on five build 1/);
  expect(cut({ deadline: 'the deadline of five is armed', attempts: [], unsent: 0 })).toMatch(/is armed/);
});
