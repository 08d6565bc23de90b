import { expect, it } from 'vitest';
import { readDestination, readHostKey } from './destination.ts';

it('reads where to log in', () => {
  expect(readDestination('root@fresnel')).toEqual({ user: 'root', address: 'fresnel', port: 22 });
  expect(readDestination('lars@10.0.0.7:2222')).toEqual({ user: 'lars', address: '10.0.0.7', port: 2222 });
  expect(readDestination('root@[fe80::1]:22').address).toBe('fe80::1');
});

it.each([
  'fresnel',
  '@fresnel',
  '-l@fresnel',
  'root@-oProxy',
  'root@a b',
  'root@a:0',
  'root@a:99999',
  'root@fe80::1',
])('refuses %j as a place to log in', (text) =>
  expect(() => readDestination(text)).toThrow('--ssh takes USER@HOST'),
);

it('takes a host key as a fingerprint or whole, and nothing shorter', () => {
  const fingerprint = `SHA256:${'A'.repeat(43)}`;
  expect(readHostKey(fingerprint)).toBe(fingerprint);
  expect(() => readHostKey('SHA256:AAAA')).toThrow('ssh-keygen -lf');
  expect(() => readHostKey('MD5:aa:bb')).toThrow('--host-key takes');
});
