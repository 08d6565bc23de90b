import { expect, it } from 'vitest';
import { Presence } from './presence.ts';

const said = {
  host: 'fresnel',
  role: 'board',
  time: '2026-05-11T08:00:00Z',
  ...{ bootId: 'b', release: 'r', package: null, running: null, unsent: 0 },
};
const backups = { kind: 'backups', number: 3, bytes: 100, limit: { number: 3 } };

it('may say what a host keeps on its disks', () => {
  expect(Presence.parse(said).disks).toBeUndefined();
  expect(Presence.parse({ ...said, disks: [backups] }).disks).toEqual([backups]);
});

it('counts as well where a newer host says that in another way', () => {
  const disks = [{ ...backups, limit: { ...backups.limit, hours: 3 } }];
  expect(Presence.parse({ ...said, disks }).disks).toEqual([backups]);
  expect(Presence.parse({ ...said, disks: { backups: 3 } })).toMatchObject({ host: 'fresnel' });
});
