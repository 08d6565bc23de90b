import { join } from 'node:path';
import { sandboxPlaces } from '../places/sandbox-places.ts';

/** The paths that a lab has and a sandbox does not: those of its virtual board, as this machine sees them. */
export const labPlaces = (labFolder: string) => {
  const { folder, host, root, log } = sandboxPlaces(labFolder);
  const machine = join(host('fresnel'), 'machine');
  return {
    folder,
    /** The folder of the board's files while its disk is made; removed afterwards. */
    root,
    machine,
    disk: join(machine, 'disk.img'),
    /** The flash that holds U-Boot's environments. */
    flash: join(machine, 'flash.img'),
    /** The board's serial line: a Unix socket, and a log of everything ever printed on it. */
    console: join(machine, 'console.sock'),
    consoleLog: log('fresnel-console'),
    /** QEMU's own monitor: a Unix socket. */
    monitor: join(machine, 'monitor.sock'),
    pidFile: join(machine, 'qemu.pid'),
    /** The key with which the administrator logs in to the board as root. */
    administratorKey: join(folder, 'control/ssh/id_ed25519'),
    /** The board's own SSH key. It is made before the board, so that it is known at the first connection. */
    hostKey: join(machine, 'ssh_host_ed25519_key'),
    knownHosts: join(folder, 'control/ssh/known_hosts'),
  };
};
export type LabPlaces = ReturnType<typeof labPlaces>;
