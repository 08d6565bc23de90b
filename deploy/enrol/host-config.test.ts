import { expect, it } from 'vitest';
import { EnrolledHost } from '../../schemas/config.ts';
import { readYaml } from '../../schemas/yaml-file.ts';
import { completeConfig, neededPaths, neededPrograms } from './host-config.ts';
import { writtenHosts } from './testdata/written-hosts.ts';
import { quotePath, unitFiles } from './unit-files.ts';

const complete = (role: keyof typeof writtenHosts) =>
  completeConfig(EnrolledHost.parse(writtenHosts[role]), {
    fleet: 'reauktion',
    host: 'fresnel',
    file: '/home/lars/fleet/fresnel.yaml',
  });

it('gives a host its paths, and names files that are carried over by their path there', () => {
  const { config, carried } = complete('board');
  expect(config).toMatchObject({
    fleet: 'reauktion',
    host: 'fresnel',
    keyFile: '/var/lib/kernel-agent-host/keys/host.nkey',
    trustFile: '/etc/kernel-agent/trust.json',
    nats: { caFile: '/etc/kernel-agent/nats-ca.pem' },
    peers: { hertz: { port: 22, identity: '/var/lib/kernel-agent-host/keys/id_ed25519' } },
    signing: { keyring: '/etc/kernel-agent/packages.gpg' },
  });
  expect([...carried]).toEqual([
    ['/etc/kernel-agent/nats-ca.pem', '/home/lars/fleet/ca.pem'],
    ['/etc/kernel-agent/packages.gpg', '/home/lars/fleet/packages.gpg'],
  ]);
});

it('gives a builder’s git the identity that is made there', () => {
  const { config } = complete('builder');
  expect(config).toMatchObject({
    git: {
      ssh: {
        identity: '/var/lib/kernel-agent-host/keys/id_ed25519',
        knownHosts: '/etc/kernel-agent/known_hosts',
      },
    },
  });
});

it.each(['keyFile: /root/key', 'stateFolder: /srv', 'host: fresnel'])(
  'refuses what enrolment decides: %s',
  (line) => {
    const { faults } = readYaml(`role: board\n${line}\n`, EnrolledHost);
    expect(faults.map(({ message }) => message)).toContain(`unknown key "${line.split(':')[0]}"`);
  },
);

it('lets a unit write to the folders of its config outside its own state, whatever their names', async () => {
  const { files, units } = await unitFiles(complete('builder').config);
  expect(units).toEqual(['kernel-agent.service']);
  const dropIn = files.get('/etc/systemd/system/kernel-agent.service.d/10-folders.conf');
  expect(dropIn?.match(/^ReadWritePaths=.*$/gm)).toEqual(['ReadWritePaths="/srv/work trees/100%%"']);
  expect(quotePath('/a"b\\c')).toBe('"/a\\"b\\\\c"');
});

it('gives a board the unit of its own deadline', async () => {
  const { files, units } = await unitFiles(complete('board').config);
  expect(units).toEqual(['kernel-agent-deadline.service', 'kernel-agent.service']);
  expect([...files.keys()]).toEqual([
    '/etc/systemd/system/kernel-agent.service',
    '/etc/systemd/system/kernel-agent-deadline.service',
  ]);
});

it('asks for the files that a person has to put on the host before', () => {
  const paths = (role: 'builder' | 'publisher' | 'board') => neededPaths(complete(role).config);
  expect(paths('builder')).toEqual([]);
  expect(paths('publisher')).toEqual(['/srv/gnupg']);
  expect(paths('board')).toEqual(expect.arrayContaining(['/etc/pacman.conf', '/etc/pacman-local.conf']));
});

it('asks a board for the programs of its boot loader', () => {
  const board = writtenHosts.board as Extract<EnrolledHost, { role: 'board' }>;
  const programs = (loader: unknown) =>
    neededPrograms(
      completeConfig(EnrolledHost.parse({ ...board, boot: { ...board.boot, loader } }), {
        fleet: 'reauktion',
        host: 'fresnel',
        file: '/home/lars/fresnel.yaml',
      }).config,
    );
  expect(programs(undefined)).not.toContain('fw_setenv');
  expect(programs({ kind: 'u-boot', label: 'fourier', freeze: true })).toEqual(
    expect.arrayContaining(['fw_setenv', 'fw_printenv', 'fsfreeze', 'find']),
  );
});
