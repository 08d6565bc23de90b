import type { z } from 'zod';
import type { EnrolledHost } from '../../../schemas/config.ts';

const fingerprint = 'A'.repeat(40);
const nats = { servers: ['tls://hertz.example.org:4222'], caFile: 'ca.pem' };
const peer = (folder: string) => ({
  address: 'peer.example.org',
  user: 'kernel-agent',
  hostKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==',
  folder,
});

/** The config that an operator writes for a host of each role. */
export const writtenHosts: Readonly<Record<'builder' | 'publisher' | 'board', z.input<typeof EnrolledHost>>> =
  {
    builder: {
      role: 'builder',
      nats,
      repositories: { packages: 'ssh://git@git.example.org/packages.git' },
      git: { author: { name: 'kernel-agent', email: 'ka@example.org' }, ssh: { knownHosts: 'known_hosts' } },
      makepkg: {
        carch: 'aarch64',
        sourcesFolder: '/var/lib/kernel-agent-host/sources',
        worktreesFolder: '/srv/work trees/100%',
        packager: 'kernel-agent <ka@example.org>',
      },
      offeredFolder: '/var/lib/kernel-agent-host/offered',
    },
    publisher: {
      role: 'publisher',
      nats,
      peers: { boltzmann: peer('/var/lib/kernel-agent-host/offered') },
      signing: { gnupgHome: '/srv/gnupg', fingerprint, keyring: 'packages.gpg' },
      repository: { name: 'marfrit', folder: '/srv/arch' },
    },
    board: {
      role: 'board',
      nats,
      peers: { hertz: peer('/srv/backups') },
      root: '/',
      packages: ['linux-fresnel-fourier'],
      pacman: {
        command: ['pacman'],
        configFile: '/etc/pacman.conf',
        localConfigFile: '/etc/pacman-local.conf',
        cacheFolder: '/var/cache/pacman/pkg',
        logFile: '/var/log/pacman.log',
        databaseFolder: '/var/lib/pacman',
      },
      boot: {
        image: '/boot/Image',
        initramfs: '/boot/initramfs.img',
        initramfsCommand: ['mkinitcpio', '-P'],
        keep: ['/boot/extlinux'],
        rebootCommand: ['systemctl', 'reboot'],
      },
      repositoryUrl: 'http://hertz.example.org/arch',
      signing: { fingerprint, keyring: 'packages.gpg' },
      sweep: { command: ['/usr/local/bin/sweep'], fixturesFolder: '/srv/clips' },
    },
  };
