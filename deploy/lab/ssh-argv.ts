import type { LabPlaces } from './lab-places.ts';

/**
 * The command with which the administrator reaches the virtual board: as root, with the lab's own key, and only if the
 * board shows the host key that was made for it. The caller's own SSH configuration is ignored.
 * @param command what to run there; empty for a shell.
 */
export const sshArgv = (
  places: LabPlaces,
  ports: { board: number },
  command: readonly string[],
): string[] => [
  ...['ssh', '-F', 'none', '-i', places.administratorKey, '-p', String(ports.board)],
  ...['-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes', '-o', 'LogLevel=ERROR', '-o', 'ConnectTimeout=30'],
  ...['-o', 'StrictHostKeyChecking=yes', '-o', `UserKnownHostsFile="${places.knownHosts}"`],
  'root@127.0.0.1',
  ...(command.length > 0 ? ['--', ...command] : []),
];

/**
 * Whether an ssh that ended with 255 had not yet run anything, judged by its messages: a connection that goes down with
 * the guest ends with the same code. While the guest boots, QEMU accepts the connection itself and drops it again.
 */
export const neverConnected = (stderr: string): boolean =>
  /^(ssh: connect to |kex_exchange_identification: |banner exchange: |Host key verification failed|Permission denied)|during banner exchange|Permission denied \(/m.test(
    stderr,
  );
