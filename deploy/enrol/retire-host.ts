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
  /** Whatever the host is at. */
  force?: boolean;
  onProgress?: (line: string) => void;
  signal?: AbortSignal;
}

/** What enrolment put on a host, in the order in which it goes; what others keep in the same folders stays. */
export const removedFiles = (purge: boolean): string[] => [
  hostPlaces.unit,
  hostPlaces.deadlineUnit,
  ...dropInFolders,
  // Before the config, which what is open is asked with.
  programsFolder,
  ...configFiles,
  ...(purge ? [hostPlaces.state, hostPlaces.keys] : []),
];

/**
 * Takes the agent off a machine. State and keys stay there unless they are purged.
 * @returns what was done, or with a dry run would be.
 * @throws {Refused} if another host answers there, if the host is at something, or something of it is not in the log yet.
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
        // The agent first: until it is gone it may arm the deadline.
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
      throw new Refused(
        `${host} is not retired: ${refused}${isForceable ? '; --force does it all the same' : ''}`,
      );
    return did;
  } finally {
    line.close();
  }
};

/** What is left to do once a host is gone. */
export const afterRetiring = (host: string): string[] => [
  `leave hosts.${host} in the fleet's file as long as the log is there: what it signed is read with its key`,
  `so that nothing more counts that its key signs: ka key revoke ${host} --why retired`,
  `name ${host} in no plan any more`,
];
