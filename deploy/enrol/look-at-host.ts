import { readFile } from 'node:fs/promises';
import { Refused } from '../../coordinator/refused.ts';
import { withHost } from './fleet-file.ts';
import type { HostBuild } from './host-build.ts';
import { neededPaths, neededPrograms } from './host-config.ts';
import type { HostLine } from './host-line.ts';
import { type Survey, Surveyed } from './on-host/asked.ts';
import { hostPlaces, openWorkArgv } from './places.ts';
import { cutByRestart, differences, unfit } from './plan.ts';
import { withoutBytes } from './wanted-file.ts';
import { trustCopy, type WantedHost } from './wanted-host.ts';

export interface LookOptions {
  /** The host was installed again: its new key replaces the pinned one. */
  replacesKey?: boolean;
  onProgress?: (line: string) => void;
}

/** A host as it is, compared with what it should be. */
export interface HostLook {
  seen: Surveyed;
  build: HostBuild;
  /** The fleet's file with the host's key in it; undefined while the host has none. */
  pinned: string | undefined;
  /** What would be done, one line each; empty if everything is as it should be. */
  differences: string[];
  /** The work that a restart of its units would interrupt, in a sentence; null if there is none. */
  cut: string | null;
}

const surveyOf = ({
  config,
  user,
  places,
  folders,
  logins,
  pacmanConfig,
  pacmanRepository,
  units,
}: WantedHost): Survey => ({
  do: 'survey',
  places,
  configFile: hostPlaces.config,
  openWork: openWorkArgv,
  user,
  programs: [
    ...neededPrograms(config),
    ...(logins?.logins.some(({ store }) => store?.image) ? ['mkfs.ext4', 'fallocate', 'mount'] : []),
  ],
  paths: neededPaths(config),
  folders,
  files: [],
  links: [],
  pacmanConfig,
  pacmanRepository,
  logins,
  units,
});

/** @throws {Refused} if the fleet's file pins a key for the host and the host no longer has a key. */
const refuseLostKey = ({ host, fleet, places }: WantedHost, { key }: Surveyed): void => {
  const known = fleet.hosts[host];
  if (key === null && known !== undefined)
    throw new Refused(
      `the fleet's file pins ${known.publicKey} for ${host}, and there is no key on it: put its key back in ${places.keyFile}, or if it is lost, revoke it (ka key revoke ${host} --why …), then enrol with --replace-key`,
    );
};

/** The fleet's file with the host's key. @throws {Refused} like {@link withHost}. */
export const pinKey = (
  text: string,
  { host, config }: WantedHost,
  keys: NonNullable<Surveyed['key']>,
  { replacesKey = false }: LookOptions,
): string => withHost(text, { host, role: config.role, keys, replacesKey });

/**
 * Looks at a machine, and finds what enrolment as that host would change. Changes nothing.
 * @param buildFor makes the host's build, once its Node is known.
 * @throws {Refused} if the machine or the fleet's file doesn't allow it.
 */
export const lookAtHost = async (
  line: HostLine,
  wanted: WantedHost,
  buildFor: (node: Surveyed['node']) => Promise<HostBuild>,
  options: LookOptions,
): Promise<HostLook> => {
  const { host, fleet, fleetFile, user, units } = wanted;
  const survey = surveyOf(wanted);
  options.onProgress?.(`looking at ${host}`);
  const first = await line.ask(survey, Surveyed);
  const why = unfit(first, { host, fleet: fleet.fleet });
  if (why.length > 0) throw new Refused(`${host} can't be enrolled yet: ${why.join('; ')}`);
  if (!options.replacesKey) refuseLostKey(wanted, first);

  const build = await buildFor(first.node);
  const fleetText = await readFile(fleetFile, 'utf8');
  const pinned = first.key ? pinKey(fleetText, wanted, first.key, options) : undefined;
  const configFiles = [...wanted.files, ...(pinned === undefined ? [] : [trustCopy(pinned)])];
  const second = await line.ask(
    {
      ...survey,
      openWork: [],
      folders: [...wanted.folders, build.folder],
      files: withoutBytes([...build.files, ...configFiles]),
      links: [build.link, ...wanted.links],
    },
    Surveyed,
  );
  const seen = { ...second, open: first.open, key: first.key, sshPublicKey: first.sshPublicKey };
  return {
    seen,
    build,
    pinned,
    differences: differences(seen, {
      user,
      units,
      build: build.name,
      hasNewKey: pinned !== fleetText,
      host,
    }),
    cut: cutByRestart(seen, host),
  };
};
