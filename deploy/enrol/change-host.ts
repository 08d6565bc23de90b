import type { z } from 'zod';
import { changeFleetFile } from './fleet-file.ts';
import type { HostLine } from './host-line.ts';
import { type HostLook, type LookOptions, pinKey } from './look-at-host.ts';
import { Applied, Started, type Surveyed } from './on-host/asked.ts';
import { hostPlaces, programsFolder, stateHome } from './places.ts';
import { whatRemains } from './plan.ts';
import { type FileWithBytes, withBase64 } from './wanted-file.ts';
import { trustCopy, type WantedHost } from './wanted-host.ts';

/** The keys that a host has once it is enrolled. */
export type EnrolledKeys = { key: NonNullable<Surveyed['key']> } & Pick<Surveyed, 'sshPublicKey'>;

/** The files that are absent on the host, or differ there. */
const changed = ({ seen }: HostLook, all: readonly FileWithBytes[]): FileWithBytes[] =>
  all.filter(({ path }) => seen.absent.includes(path) || seen.other.includes(path));

const applyOf = ({ places, user }: WantedHost) => ({
  do: 'apply' as const,
  places,
  user: null,
  folders: [],
  files: [],
  links: [],
  keysOf: user ?? 'root',
  makesKeys: false,
  identityComment: '',
  pacmanConfig: null,
  pacmanRepository: null,
  logins: null,
  check: null,
});

/**
 * Puts on a host everything that no unit runs or reads yet: its user, folders, keys, and the programs of the build,
 * after a check that they run there.
 */
const prepareHost = async (line: HostLine, wanted: WantedHost, look: HostLook): Promise<EnrolledKeys> => {
  const { host, user, folders, places, pacmanConfig } = wanted;
  const { build, seen } = look;
  const { key, sshPublicKey } = await line.ask(
    {
      ...applyOf(wanted),
      user: user === null ? null : { name: user, home: stateHome },
      folders: [...folders, build.folder],
      files: withBase64(changed(look, build.files)),
      makesKeys: true,
      identityComment: `kernel-agent@${host}`,
      pacmanConfig,
      check: [seen.node.file, `${build.folder.path}/host.mjs`, 'check'],
    },
    Applied,
  );
  if (key === null) throw new Error(`${host} has no key in ${places.keyFile} after it was made`);
  return { key, sshPublicKey };
};

/** Pins a host's key in the operator's fleet file as it is now. @returns the file's new text. */
const pinHost = async (wanted: WantedHost, { key }: EnrolledKeys, options: LookOptions): Promise<string> => {
  const { host, fleetFile } = wanted;
  const { text, isChanged } = await changeFleetFile(fleetFile, (now) => pinKey(now, wanted, key, options));
  if (isChanged) options.onProgress?.(`${fleetFile}: ${host} has the key ${key.publicKey}`);
  return text;
};

/**
 * Puts the files that the units read in their places, and points the link to the new build.
 * @param pinned the text that {@link pinHost} returned.
 */
const switchHost = async (
  line: HostLine,
  wanted: WantedHost,
  look: HostLook,
  pinned: string,
): Promise<void> => {
  const copy = trustCopy(pinned);
  // The look compared the host's copy with the file as it was then; if pinning changed the file, the copy is sent
  // again.
  const copies = look.pinned === pinned ? changed(look, [copy]) : [copy];
  await line.ask(
    {
      ...applyOf(wanted),
      files: withBase64([...changed(look, wanted.files), ...copies]),
      pacmanRepository: wanted.pacmanRepository,
      links: [look.build.link, ...wanted.links],
      logins: wanted.logins,
    },
    Applied,
  );
};

/** Starts a host's units, and removes all builds but this one and the one before. @returns the units that are down. */
const startHost = async (
  line: HostLine,
  { places, units }: WantedHost,
  { seen, build }: HostLook,
): Promise<z.infer<typeof Started>['units']> => {
  const before = seen.links[hostPlaces.current];
  const started = await line.ask(
    {
      do: 'start',
      places,
      units,
      // If this build was installed already, its predecessor is unknown: all builds stay.
      builds: {
        folder: programsFolder,
        keep: before === undefined || before === build.name ? null : [build.name, before],
      },
    },
    Started,
  );
  return started.units.filter(({ active }) => active !== 'active');
};

/**
 * Makes a host as it should be. The order allows an interruption anywhere: the next look finds what is left to do.
 * @throws {Error} with the units' last log lines, if they do not come up.
 */
export const changeHost = async (
  line: HostLine,
  wanted: WantedHost,
  look: HostLook,
  options: LookOptions,
): Promise<EnrolledKeys> => {
  const { host, config, units } = wanted;
  const onProgress = options.onProgress ?? (() => undefined);
  const keys = await prepareHost(line, wanted, look);
  const pinned = await pinHost(wanted, keys, options);
  await switchHost(line, wanted, look, pinned);
  onProgress(`starting ${units.join(' and ')} on ${host}`);
  const down = await startHost(line, wanted, look);
  if (down.length === 0) return keys;
  // This may be the reason why they are down.
  for (const each of whatRemains(config, { isChanged: true, ...keys }))
    onProgress(`remains to do by hand: ${each}`);
  throw new Error(
    down
      .map(({ name, active, says }) => `${name} on ${host} is ${active}; it says:\n${says.join('\n')}`)
      .join('\n'),
  );
};
