import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { agentUser, stateHome } from '../../deploy/enrol/places.ts';
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

const secret = 'the secret of this machine';

describe.skipIf(!canMount)('the publisher logs in to a builder', () => {
  let builder: LoginMachine;
  let hertz: Awaited<ReturnType<LoginMachine['key']>>;
  const user = 'ka-hertz';
  const written = () => ({
    ...writtenHosts.builder,
    offeredFolder: '/srv/kernel-agent/offered/packages',
    logins: { hertz: { key: hertz.publicKey } },
  });
  beforeAll(async () => {
    builder = await startLoginMachine('attack-reader');
    hertz = await builder.key('hertz');
    await builder.enrol(written());
    await builder.done(['chown', '-R', agentUser, `${stateHome}/keys`]);
    await builder.done(
      ['tee', '/srv/kernel-agent/offered/packages/linux.pkg', '/srv/kernel-agent/secret'],
      secret,
    );
    await builder.done(['tee', `${stateHome}/keys/id_ed25519`], secret);
  });
  afterAll(() => builder?.stop());
  const sftp = (...lines: string[]) => builder.sftp(user, hertz.file, ...lines);

  attack(
    'login-of-a-publisher',
    'it reads what is offered',
    onlyRoot(async () => {
      const there = await connected(builder, user, hertz.file, '/packages');
      const files = await there.list('.x').catch(() => []);
      there.close();
      expect(files).toEqual([]);
      const { exitCode, said } = await sftp('ls -1 /', 'ls -1 /packages');
      expect({ exitCode, said }).toMatchObject({ exitCode: 0 });
      expect(said).toMatch(/packages/);
      expect((await sftp(`get /packages/linux.pkg ${join(builder.folder, 'got')}`)).exitCode).toBe(0);
      expect(readFileSync(join(builder.folder, 'got'), 'utf8')).toBe(secret);
    }),
  );

  attack(
    'login-of-a-publisher',
    'it reads no key and no config of the builder’s, and nothing beside what is offered',
    onlyRoot(async () => {
      for (const path of [
        `${stateHome}/keys/host.nkey`,
        `${stateHome}/keys/id_ed25519`,
        '/etc/passwd',
        '/srv/kernel-agent/secret',
        '../secret',
        '../../../../etc/passwd',
        '/packages/../../secret',
      ]) {
        const { exitCode, said } = await sftp(`get ${path} ${join(builder.folder, 'stolen')}`);
        expect({ path, exitCode }).toEqual({ path, exitCode: 1 });
        expect(said).toMatch(/not found|No such file/);
      }
      // A link leads below what it sees as /, whoever made it.
      await builder.done([
        'ln',
        '-s',
        `${stateHome}/keys/host.nkey`,
        '/srv/kernel-agent/offered/packages/link',
      ]);
      expect((await sftp(`get /packages/link ${join(builder.folder, 'stolen')}`)).exitCode).toBe(1);
    }),
  );

  attack(
    'login-of-a-publisher',
    'it writes nothing: no package, no authorized_keys, no link',
    onlyRoot(async () => {
      const file = join(builder.folder, 'mine');
      writeFileSync(file, hertz.publicKey);
      for (const line of [
        `put ${file} /packages/linux.pkg`,
        `put ${file} /packages/new.pkg`,
        `put ${file} /authorized_keys`,
        'mkdir /.ssh',
        'rm /packages/linux.pkg',
        'rename /packages/linux.pkg /packages/other.pkg',
        'symlink /etc/passwd /packages/passwd',
        'chmod 777 /packages',
      ])
        expect({ line, exitCode: (await sftp(line)).exitCode }).toEqual({ line, exitCode: 1 });
    }),
  );

  attack(
    'login-of-a-publisher',
    'it has no shell, no program, no other subsystem, and forwards nothing',
    onlyRoot(() => expectOnlySftp(builder, user, hertz.file)),
  );

  attack(
    'login-of-a-publisher',
    'nobody logs in as the agent’s user, whatever is in its home',
    onlyRoot(async () => {
      await builder.done(['tee', `${stateHome}/.ssh/authorized_keys`], hertz.publicKey);
      await builder.done(['chown', '-R', agentUser, `${stateHome}/.ssh`]);
      const { exitCode, said } = await builder.ssh(agentUser, hertz.file, { after: ['id'] });
      expect({ exitCode, said }).toMatchObject({
        exitCode: 255,
        said: expect.stringContaining('Permission denied'),
      });
    }),
  );

  attack(
    'login-of-a-publisher',
    'enrolment makes no login where more would be seen, or sshd would do something else',
    onlyRoot(async () => {
      expect(await builder.enrol(written())).toEqual([]);
      await builder.done(['tee', '/srv/kernel-agent/offered/notes'], secret);
      await expect(builder.enrol(written())).rejects.toThrow(/offered holds notes, which hertz would see/);
      await builder.done(['rm', '/srv/kernel-agent/offered/notes']);
      await builder.done(['chmod', '775', '/srv/kernel-agent']);
      await expect(builder.enrol(written())).rejects.toThrow(/can change what is in \/srv\/kernel-agent/);
      await builder.done(['chmod', '755', '/srv/kernel-agent']);

      const own = '/etc/ssh/sshd_config.d/05-kernel-agent.conf';
      const before = await builder.done(['cat', own]);
      const first = '/etc/ssh/sshd_config.d/01-own.conf';
      await builder.done(['tee', first], 'Match User ka-fermi\n  AllowTcpForwarding yes\n');
      const more = { ...written(), logins: { ...written().logins, fermi: { key: hertz.publicKey } } };
      await expect(builder.enrol(more)).rejects.toThrow(/let in ka-fermi without "allowtcpforwarding no"/);
      expect(await builder.done(['cat', own])).toBe(before);
      await builder.done(['rm', first]);
      await builder.done(['useradd', '--home-dir', '/home/x', '--shell', '/bin/bash', 'ka-noether']);
      const taken = { ...written(), logins: { noether: { key: hertz.publicKey } } };
      await expect(builder.enrol(taken)).rejects.toThrow(
        /ka-noether has the home .* somebody else has made it/,
      );
    }),
  );
});
