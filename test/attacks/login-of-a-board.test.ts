import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { agentUser } from '../../deploy/enrol/places.ts';
import { writtenHosts } from '../../deploy/enrol/testdata/written-hosts.ts';
import { attack } from './attack.ts';
import {
  canMount,
  connected,
  expectOnlySftp,
  type LoginMachine,
  onlyRoot,
  startLoginMachine,
} from './login-machine.ts';

describe.skipIf(!canMount)('a board logs in to the backup host', () => {
  let hertz: LoginMachine;
  let fresnel: Awaited<ReturnType<LoginMachine['key']>>;
  let ohm: Awaited<ReturnType<LoginMachine['key']>>;
  const user = 'ka-fresnel';
  const megabytes = 24;
  /** Where a mounted file can't be had, what a board stores has no end: ka doctor says so. */
  const canLimit = existsSync('/dev/loop-control');
  const written = () => ({
    ...writtenHosts.publisher,
    repository: { name: 'marfrit', folder: '/srv/arch/aarch64' },
    logins: {
      fresnel: { key: fresnel.publicKey, stores: { megabytes: canLimit ? megabytes : null } },
      ohm: { key: ohm.publicKey, stores: { megabytes: null } },
    },
  });
  beforeAll(async () => {
    hertz = await startLoginMachine('attack-board');
    [fresnel, ohm] = [await hertz.key('fresnel'), await hertz.key('ohm')];
    await hertz.enrol(written());
    await hertz.done(['mkdir', '-p', '/srv/arch/aarch64/views/v1']);
    await hertz.done(['tee', '/srv/arch/aarch64/views/v1/linux.pkg'], 'a package');
    await hertz.done(['chown', '-R', agentUser, '/srv/arch/aarch64']);
  });
  afterAll(async () => {
    await hertz?.done(['umount', '/srv/arch/fresnel']).catch(() => undefined);
    await hertz?.stop();
  });
  const sftp = (...lines: string[]) => hertz.sftp(user, fresnel.file, ...lines);
  const local = (name: string, bytes: Buffer | string) => {
    const file = join(hertz.folder, name);
    writeFileSync(file, bytes);
    return file;
  };

  attack(
    'login-of-a-board',
    'it stores a backup, reads it back, and reads a published package',
    onlyRoot(async () => {
      const there = await connected(hertz, user, fresnel.file, '/');
      try {
        const { sizeBytes, sha256 } = await there.put(local('backup', 'a backup'), 'fresnel/7.0-1/b.tar');
        expect(await there.list('fresnel')).toMatchObject([{ path: '7.0-1/b.tar', sizeBytes }]);
        await there.fetch('fresnel/7.0-1/b.tar', join(hertz.folder, 'back'), { sizeBytes, sha256 });
        expect(await there.hash('views/v1/linux.pkg', 1000)).toMatchObject({ sizeBytes: 9 });
      } finally {
        there.close();
      }
    }),
  );

  attack(
    'login-of-a-board',
    'it changes neither its own authorized_keys nor what it may do',
    onlyRoot(async () => {
      const other = await hertz.key('other');
      const keys = local('keys', `${other.publicKey}\n`);
      for (const path of [
        '/.ssh/authorized_keys',
        '/authorized_keys',
        '/etc/kernel-agent/logins/fresnel.keys',
      ])
        expect((await sftp(`put ${keys} ${path}`)).exitCode).toBe(1);
      // In its own folder it may call a file what it likes: nobody reads it.
      expect((await sftp('mkdir /fresnel/.ssh', `put ${keys} /fresnel/.ssh/authorized_keys`)).exitCode).toBe(
        0,
      );
      const { exitCode, said } = await hertz.ssh(user, other.file, { after: ['id'] });
      expect({ exitCode, said }).toMatchObject({
        exitCode: 255,
        said: expect.stringContaining('Permission denied'),
      });
      await expectOnlySftp(hertz, user, fresnel.file);
    }),
  );

  attack(
    'login-of-a-board',
    'it reads and writes nothing of another board, of the repository or of the machine',
    onlyRoot(async () => {
      const stored = await hertz.sftp('ka-ohm', ohm.file, `put ${local('ohm', 'of ohm')} /ohm/backup`);
      expect(stored.exitCode).toBe(0);
      const mine = local('mine', 'mine');
      for (const line of [
        'ls /ohm',
        `get /ohm/backup ${hertz.folder}/stolen`,
        `put ${mine} /ohm/backup`,
        `put ${mine} /views/v1/linux.pkg`,
        `put ${mine} /aarch64/new`,
        'rm /views/v1/linux.pkg',
        'rename /views /old',
        'rmdir /fresnel',
        `get /etc/passwd ${hertz.folder}/stolen`,
        `get ../../etc/passwd ${hertz.folder}/stolen`,
      ])
        expect({ line, exitCode: (await sftp(line)).exitCode }).toEqual({ line, exitCode: 1 });
      // A link is followed below what it sees as /.
      const links = ['/etc/passwd', '../../../../etc/passwd', '/ohm/backup', '/../../etc/passwd'];
      for (const [index, target] of links.entries()) {
        expect((await sftp(`symlink ${target} /fresnel/link${index}`)).exitCode).toBe(0);
        expect((await sftp(`get /fresnel/link${index} ${hertz.folder}/stolen`)).exitCode).toBe(1);
      }
    }),
  );

  attack(
    'login-of-a-board',
    'what it stores has an end, and others’ room is not touched',
    onlyRoot(async () => {
      if (!canLimit) return;
      const big = local('big', Buffer.alloc((megabytes + 8) * 1024 * 1024, 7));
      const { exitCode, said } = await sftp(`put ${big} /fresnel/big`);
      expect({ exitCode, said }).toMatchObject({
        exitCode: 1,
        said: expect.stringMatching(/[Ff]ailure|No space/),
      });
      const used = Number((await hertz.done(['du', '-sm', '/srv/arch/fresnel'])).split('\t')[0]);
      expect(used).toBeLessThanOrEqual(megabytes);
      expect((await hertz.sftp('ka-ohm', ohm.file, `put ${big} /ohm/big`)).exitCode).toBe(0);
      expect((await sftp('rm /fresnel/big')).exitCode).toBe(0);
      // Enrolled again, everything stays; mounted again after a boot, too.
      expect(await hertz.enrol(written())).toEqual([]);
      await hertz.done(['umount', '/srv/arch/fresnel']);
      expect((await sftp(`put ${big} /fresnel/big`)).exitCode).toBe(1);
      expect(await hertz.enrol(written())).toEqual(['/srv/arch/fresnel']);
      expect((await sftp('ls /fresnel/7.0-1/b.tar')).exitCode).toBe(0);
    }),
  );
});
