import type { LabPlaces } from './lab-places.ts';

/**
 * How the administrator reaches the virtual board: as root, with the lab's own key, and only if it shows the host key
 * that was made for it. Nothing of the caller's own SSH configuration counts.
 * @param command What to run there; nothing: a shell.
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
