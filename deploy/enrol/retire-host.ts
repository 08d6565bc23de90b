import { Refused } from '../../coordinator/decide.ts';
import { type HostLogin, openHostLine } from './host-line.ts';
import { Retired } from './on-host/asked.ts';
import { agentUser, configFolder, hostPlaces, programsFolder, stateHome } from './places.ts';
import { agentUnit, deadlineUnit } from './unit-files.ts';

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

/**
 * Takes the agent off a machine. State and keys stay there unless they are purged.
 * @returns what was done, or with a dry run would be.
 * @throws {Refused} if the host is at something, or something of it is not in the log yet.
 */
export const retireHost = async (options: RetireOptions): Promise<string[]> => {
  const { host, login, dryRun = false, purge = false, force = false, onProgress = () => undefined } = options;
  const line = await openHostLine(login, (said) => onProgress(`${host}: ${said}`), options.signal);
  try {
    const { refused, did } = await line.ask(
      {
        do: 'retire',
        // The agent first: until it is gone it may arm the deadline.
        units: [agentUnit, deadlineUnit],
        openWork: ['node', `${hostPlaces.current}/host.mjs`, 'open', '--config', hostPlaces.config],
        force,
        dryRun,
        remove: [
          hostPlaces.unit,
          hostPlaces.dropIn.slice(0, hostPlaces.dropIn.lastIndexOf('/')),
          hostPlaces.deadlineUnit,
          // Before the config, which what is open is asked with.
          programsFolder,
          configFolder,
          ...(purge ? [stateHome] : []),
        ],
        user: purge ? agentUser : null,
      },
      Retired,
    );
    if (refused !== null)
      throw new Refused(`${host} is not retired: ${refused}; --force does it all the same`);
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
