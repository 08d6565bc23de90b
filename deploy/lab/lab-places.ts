import { join } from 'node:path';
import { sandboxPlaces } from '../places/sandbox-places.ts';

/** Every path of a lab that a sandbox has not: those of its virtual board, as this machine sees them. */
export const labPlaces = (labFolder: string) => {
  const { folder, host, root, log } = sandboxPlaces(labFolder);
  const machine = join(host('fresnel'), 'machine');
  return {
    folder,
    /** Where the board's files stand while its disk is made; gone afterwards. */
    root,
    machine,
    disk: join(machine, 'disk.img'),
    /** The flash that holds U-Boot's environments. */
    flash: join(machine, 'flash.img'),
    /** The board's serial line: a Unix socket, and all that was ever said on it. */
    console: join(machine, 'console.sock'),
    consoleLog: log('fresnel-console'),
    /** QEMU's own monitor: a Unix socket. */
    monitor: join(machine, 'monitor.sock'),
    pidFile: join(machine, 'qemu.pid'),
    /** With this key the administrator is root on the board. */
    administratorKey: join(folder, 'control/ssh/id_ed25519'),
    /** The board's own SSH key, made before the board is, so that it is known from the first connection on. */
    hostKey: join(machine, 'ssh_host_ed25519_key'),
    knownHosts: join(folder, 'control/ssh/known_hosts'),
  };
};
export type LabPlaces = ReturnType<typeof labPlaces>;
