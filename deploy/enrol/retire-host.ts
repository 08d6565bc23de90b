import { Refused } from '../../coordinator/refused.ts';
import { agentUnit, deadlineUnit } from '../systemd/unit-names.ts';
import { type HostLogin, openHostLine } from './host-line.ts';
import { Retired } from './on-host/asked.ts';
import {
  agentUser,
  configFiles,
  configFolder,
  dropInFolders,
  hostPlaces,
  openWorkArgv,
  programsFolder,
  stateHome,
} from './places.ts';

export interface RetireOptions {
  host: string;
  login: HostLogin;
  dryRun?: boolean;
  /** Removes state and keys as well. */
  purge?: boolean;
  /** Retires the host even if it is working. */
  force?: boolean;
  onProgress?: (line: string) => void;
  signal?: AbortSignal;
}

/** What enrolment put on a host, in the order in which it is removed. Other files in the same folders stay. */
export const removedFiles = (purge: boolean): string[] => [
  hostPlaces.unit,
  hostPlaces.deadlineUnit,
  ...dropInFolders,
  // Before its program: a hook without one would let pacman install nothing.
  hostPlaces.pacmanHook,
  hostPlaces.sshdDropIn,
  // Before the config: the question for open work needs the config and the programs.
  programsFolder,
  ...configFiles,
  ...(purge ? [hostPlaces.state, hostPlaces.keys] : []),
];

/**
 * Takes the agent off a machine. State and keys stay there unless they are purged.
 * @returns what was done, or would be done in a dry run.
 * @throws {Refused} if another host answers there, the host is working, or some of its events are not in the log yet.
 */
export const retireHost = async (options: RetireOptions): Promise<string[]> => {
  const { host, login, dryRun = false, purge = false, force = false, onProgress = () => undefined } = options;
  const line = await openHostLine(login, (said) => onProgress(`${host}: ${said}`), options.signal);
  try {
    const { refused, isForceable, did } = await line.ask(
      {
        do: 'retire',
        host,
        configFile: hostPlaces.config,
        // The agent first: while it runs it may arm the deadline.
        units: [agentUnit, deadlineUnit],
        openWork: openWorkArgv,
        force,
        dryRun,
        remove: removedFiles(purge),
        removeIfEmpty: [configFolder, ...(purge ? [stateHome] : [])],
        user: purge ? agentUser : null,
      },
      Retired,
    );
    if (refused !== null)
      throw new Refused(`${host} is not retired: ${refused}${isForceable ? '; --force does it anyway' : ''}`);
    return did;
  } finally {
    line.close();
  }
};

/** What is left to do once a host is gone. */
export const afterRetiring = (host: string): string[] => [
  `leave hosts.${host} in the fleet's file as long as the log exists: its key is needed to check what it signed`,
  `revoke its key, so that nothing it signs from now on counts: ka key revoke ${host} --why retired`,
  `name ${host} in no plan any more`,
];
