import { bootFiles } from '../local-fleet/board/boot-files.ts';
import { bootEnvConfig, bootEnvConfigFile, fwEnvConfig, watchdogSeconds } from './boot-environment.ts';

/** A file of the board that does not come from its packages. */
export interface BoardFile {
  /** The path on the board. */
  path: string;
  text: string;
  mode?: number;
}

export const initramfsProgram = '/usr/local/sbin/fresnel-initramfs';

/** The boot loader reads this; the label `fourier` is the kernel that pacman installs. */
export const extlinuxConf = `DEFAULT fourier
TIMEOUT 1
LABEL fourier
  KERNEL ${bootFiles.image}
  INITRD ${bootFiles.initramfs}
  APPEND root=/dev/vda1 rw console=ttyAMA0 panic=5 quiet systemd.show_status=0 i6300esb.heartbeat=${watchdogSeconds}
`;

const initramfsScript = `#!/bin/sh
# Makes the initramfs of the installed kernel, whose release its image states: beside its place, then renamed.
set -eu
image=${bootFiles.image}
initramfs=${bootFiles.initramfs}
release=$(LC_ALL=C grep -aom1 'Linux version [^ ]* (' "$image" | head -n 1 | cut -d ' ' -f 3)
if [ -z "$release" ]; then
  echo "fresnel-initramfs: $image does not say which release it is" >&2
  exit 1
fi
if [ ! -d "/usr/lib/modules/$release" ]; then
  echo "fresnel-initramfs: there are no modules for $release in /usr/lib/modules" >&2
  exit 1
fi
mkinitramfs -o "$initramfs.part" "$release"
sync "$initramfs.part"
mv "$initramfs.part" "$initramfs"
echo "initramfs for $release: $(stat -c %s "$initramfs") bytes"
`;

/** Units and generators that an emulated board does not need, or that take it too long. */
export const maskedUnits = [
  ...['apt-daily.timer', 'apt-daily-upgrade.timer', 'apt-daily.service', 'apt-daily-upgrade.service'],
  ...['dpkg-db-backup.timer', 'e2scrub_all.timer', 'e2scrub_reap.service', 'fstrim.timer'],
  ...[
    'systemd-tmpfiles-clean.timer',
    'systemd-networkd-wait-online.service',
    'systemd-network-generator.service',
    'systemd-timesyncd.service',
  ],
  ...[
    'systemd-hwdb-update.service',
    'systemd-firstboot.service',
    'systemd-sysusers.service',
    'ldconfig.service',
  ],
  ...['systemd-journal-catalog-update.service', 'systemd-update-done.service', 'systemd-binfmt.service'],
  ...['proc-sys-fs-binfmt_misc.automount', 'systemd-update-utmp.service', 'systemd-sysctl.service'],
  ...['modprobe@configfs.service', 'modprobe@drm.service', 'modprobe@fuse.service'],
  ...['modprobe@efi_pstore.service', 'sys-kernel-config.mount', 'sys-kernel-debug.mount'],
  ...['sys-kernel-tracing.mount', 'sys-fs-fuse-connections.mount', 'dev-hugepages.mount', 'dev-mqueue.mount'],
  ...['console-getty.service', 'getty@tty1.service', 'serial-getty@ttyAMA0.service'],
  ...['systemd-ask-password-console.path', 'systemd-ask-password-wall.path', 'sshd-keygen.service'],
] as const;

export const maskedGenerators = [
  ...[
    'debug',
    'getty',
    'gpt-auto',
    'hibernate-resume',
    'rc-local',
    'run',
    'ssh',
    'system-update',
    'sysv',
    'tpm2',
  ].map((name) => `systemd-${name}-generator`),
] as const;

/**
 * The files that turn Debian's root into this board: name, disk, network, an SSH server for root's key only, a watchdog
 * that systemd feeds, and the boot of the kernel.
 * @param keys the administrator's public key; both halves of the board's own host key.
 * @param machineId 32 hexadecimal digits, machine-id(5). Without one the first boot would take far longer.
 */
export const boardFiles = ({
  administratorKey,
  hostKey,
  machineId,
}: {
  administratorKey: string;
  hostKey: { secret: string; public: string };
  machineId: string;
}): BoardFile[] => [
  { path: '/etc/hostname', text: 'fresnel\n' },
  { path: '/etc/hosts', text: '127.0.0.1 localhost\n127.0.1.1 fresnel\n' },
  { path: '/etc/machine-id', text: `${machineId}\n` },
  { path: '/etc/fstab', text: '/dev/vda1 / ext4 rw,noatime 0 0\n' },
  {
    path: '/etc/systemd/network/10-ether.network',
    text: '[Match]\nType=ether\n\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n',
  },
  { path: '/etc/ssh/ssh_host_ed25519_key', text: hostKey.secret, mode: 0o600 },
  { path: '/etc/ssh/ssh_host_ed25519_key.pub', text: `${hostKey.public}\n` },
  {
    path: '/etc/ssh/sshd_config.d/10-board.conf',
    text: 'HostKey /etc/ssh/ssh_host_ed25519_key\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUseDNS no\nPrintLastLog no\n',
  },
  { path: '/root/.ssh/authorized_keys', text: `${administratorKey}\n`, mode: 0o600 },
  // QEMU's own resolver.
  { path: '/etc/resolv.conf', text: 'nameserver 10.0.2.3\n' },
  // Without it, pam_env complains at each login.
  { path: '/etc/default/locale', text: '' },
  { path: '/etc/fw_env.config', text: fwEnvConfig },
  { path: bootEnvConfigFile, text: bootEnvConfig },
  // libubootenv fills an erased environment with the content of this file, and fails without the file.
  { path: '/etc/u-boot-initial-env', text: '' },
  {
    path: '/etc/systemd/system.conf.d/10-board.conf',
    text: `[Manager]\nRuntimeWatchdogSec=${watchdogSeconds}\nRebootWatchdogSec=${watchdogSeconds}\nDefaultTimeoutStopSec=30s\n`,
  },
  // All drivers of the board's devices are in the kernel, so udev only has to handle devices that get a name or a link.
  {
    path: '/etc/systemd/system/systemd-udev-trigger.service.d/10-board.conf',
    text: `[Service]\nExecStart=\nExecStart=-udevadm trigger --type=devices --action=add ${['net', 'block', 'mtd', 'video4linux', 'dma_heap', 'watchdog'].map((name) => `--subsystem-match=${name}`).join(' ')}\n`,
  },
  {
    path: '/etc/systemd/journald.conf.d/10-board.conf',
    text: '[Journal]\nStorage=persistent\nSystemMaxUse=64M\n',
  },
  {
    path: '/etc/initramfs-tools/conf.d/board',
    text: 'MODULES=list\nCOMPRESS=gzip\nBUSYBOX=n\nFSTYPE=ext4\n',
  },
  { path: initramfsProgram, text: initramfsScript, mode: 0o755 },
  { path: bootFiles.extlinux, text: extlinuxConf },
];
