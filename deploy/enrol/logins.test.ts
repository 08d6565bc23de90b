import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { EnrolledHost } from '../../schemas/config.ts';
import { readYaml } from '../../schemas/yaml-file.ts';
import { completeConfig } from './host-config.ts';
import { escapePath, wantedLogins } from './logins.ts';
import { writtenHosts } from './testdata/written-hosts.ts';

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==';
const named = { fleet: 'reauktion', host: 'boltzmann', file: '/home/lars/fleet/boltzmann.yaml' };
const offeredIn = (offeredFolder: string, logins: unknown = { hertz: { key } }) => {
  const { config, logins: read } = completeConfig(
    EnrolledHost.parse({ ...writtenHosts.builder, offeredFolder, logins }),
    named,
  );
  return wantedLogins(config, read);
};
const publisher = (logins: unknown) => {
  const { config, logins: read } = completeConfig(
    EnrolledHost.parse({
      ...writtenHosts.publisher,
      repository: { name: 'm', folder: '/srv/arch/a' },
      logins,
    }),
    named,
  );
  return wantedLogins(config, read);
};

it('gives each that logs in a user, keys of root’s and the folder above what is offered', () => {
  const wanted = offeredIn('/srv/kernel-agent/offered/packages');
  expect(wanted?.asked).toMatchObject({
    root: '/srv/kernel-agent/offered',
    entries: ['packages'],
    logins: [{ host: 'hertz', user: 'ka-hertz', store: null }],
  });
  expect(wanted?.folders.map(({ path, owner }) => `${path} ${owner}`)).toEqual([
    '/etc/ssh/sshd_config.d root',
    '/srv/kernel-agent/offered root',
    '/etc/kernel-agent/logins root',
  ]);
  const keys = wanted?.files.find(({ path }) => path === '/etc/kernel-agent/logins/hertz.keys');
  expect(Buffer.from(keys?.bytes ?? []).toString()).toBe(`restrict ${key} hertz\n`);
  expect(wanted?.asked.dropIn.text).toContain('  ForceCommand internal-sftp -R\n');
});

it('gives a board that stores a file system, and shows it the views of the repository', () => {
  const wanted = publisher({ fresnel: { key, stores: { megabytes: 100 } }, ohm: { key } });
  expect(wanted?.asked.entries).toEqual(['a', 'views', 'fresnel']);
  expect(wanted?.links).toEqual([{ path: '/srv/arch/views', target: 'a/views' }]);
  const [fresnel, ohm] = wanted?.asked.logins ?? [];
  expect(fresnel?.store).toMatchObject({
    folder: '/srv/arch/fresnel',
    image: '/var/lib/kernel-agent-stores/fresnel.img',
    bytes: 100 * 1024 * 1024,
    unit: { path: '/etc/systemd/system/srv-arch-fresnel.mount' },
  });
  expect(ohm?.store).toBeNull();
  expect(wanted?.asked.dropIn.text).toMatch(
    /Match User ka-fresnel\n {2}ChrootDirectory \/srv\/arch\n {2}ForceCommand internal-sftp -u 077\n/,
  );
});

it('locks the agent’s user out where nobody logs in, and asks nothing of the folders', () => {
  const wanted = offeredIn('/var/lib/kernel-agent-host/offered', {});
  expect(wanted).toMatchObject({ asked: { logins: [] }, links: [] });
  expect(wanted?.asked.dropIn.text).toContain('Match User kernel-agent\n  DenyUsers kernel-agent\n');
});

it.each([
  ['/var/lib/kernel-agent-host/offered', /belongs to the agent's user/],
  ['/srv/offered', /everything beside it would be seen/],
  ['/srv/kernel agent/offered/packages', /sshd reads quotes, blanks/],
  ['/srv/offered', /name a folder for it alone, such as/],
  ['/srv/work trees/packages', /\/srv\/work trees\/100% is in it/],
])('refuses to offer %s to others: what they would see as / has to be for that alone', (folder, why) => {
  expect(() => offeredIn(folder)).toThrow(why);
});

it('refuses a store in the place of what is offered, and a user’s name that is too long', () => {
  expect(() => publisher({ views: { key, stores: { megabytes: 16 } } })).toThrow(/which is something else/);
  const long = 'a'.repeat(30);
  expect(() => publisher({ [long]: { key } })).toThrow(/has at most 32 letters/);
});

it.each([
  [
    'builder',
    'logins: { hertz: { key: ssh-ed25519 AAAA, stores: { megabytes: 16 } } }',
    /unknown key "stores"/,
  ],
  ['board', 'logins: {}', /unknown key "logins"/],
  ['publisher', "logins: { fresnel: { key: 'ssh-rsa AAAA' } }", /type and key without the comment/],
  [
    'publisher',
    "logins: { fresnel: { key: 'ssh-ed25519 AAAA\\n ssh-rsa B' } }",
    /type and key without the comment/,
  ],
])('refuses in the file of a %s: %s', (role, line, why) => {
  const { faults } = readYaml(`role: ${role}\n${line}\n`, EnrolledHost);
  expect(faults.map(({ message }) => message).join()).toMatch(why);
});

it.each(['/srv/arch/fresnel', '/srv/.a/b-c/d.e', '/srv/x~y'])(
  'names the unit of %s as systemd does',
  (path) => {
    expect(escapePath(path)).toBe(execFileSync('systemd-escape', ['-p', path], { encoding: 'utf8' }).trim());
  },
);
