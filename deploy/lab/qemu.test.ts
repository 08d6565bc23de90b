import { expect, test } from 'vitest';
import { labPlaces } from './lab-places.ts';
import { qemuArgv } from './qemu.ts';
import { sshArgv } from './ssh-argv.ts';

const places = labPlaces('/srv/a,b');
const argv = qemuArgv(places, { board: 2022 });

test('the guest is reached only on the loopback, and is emulated even if the machine could virtualize it', () => {
  expect(argv).toContain('user,id=net,hostfwd=tcp:127.0.0.1:2022-:22');
  expect(argv[argv.indexOf('-accel') + 1]).toBe('tcg,thread=multi');
});

test('a reboot stays in the process, and a watchdog that is not fed resets', () => {
  expect(argv).not.toContain('-no-reboot');
  expect(argv[argv.indexOf('-action') + 1]).toBe('watchdog=reset');
});

test('a comma in the name of the folder does not end an option', () => {
  expect(argv.filter((word) => word.includes(places.disk.replaceAll(',', ',,')))).toHaveLength(1);
  expect(argv.filter((word) => /=.*\/a,b\//.test(word))).toEqual([]);
});

test("the administrator's connection accepts only the board's key", () => {
  const ssh = sshArgv(places, { board: 2022 }, ['uname', '-r']);
  expect(ssh).toContain('StrictHostKeyChecking=yes');
  expect(ssh.slice(-4)).toEqual(['root@127.0.0.1', '--', 'uname', '-r']);
});
