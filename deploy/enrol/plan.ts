import type { AgentConfig } from '../../schemas/config.ts';
import type { Surveyed } from './on-host/asked.ts';
import { hostPlaces, stateHome } from './places.ts';

const neededBytes = 64 * 1024 * 1024;
const megabytes = (bytes: number): string => `${Math.floor(bytes / 1024 / 1024)} MB`;

/** Why a machine that has an agent already is another one than meant. */
const someoneElse = (
  { enrolledAs }: Surveyed,
  { host, fleet }: { host: string; fleet: string },
): string[] => {
  if (enrolledAs === null) return [];
  const retire = `see where --ssh leads, or retire it there first (ka retire ${enrolledAs.host})`;
  if (enrolledAs.host !== host)
    return [`the machine is enrolled as ${enrolledAs.host}, and a machine has one agent: ${retire}`];
  if (enrolledAs.fleet !== fleet)
    return [`it is enrolled in the fleet ${enrolledAs.fleet}, and this one is ${fleet}: ${retire}`];
  if (enrolledAs.keyFile !== hostPlaces.key)
    return [
      `its key is in ${enrolledAs.keyFile}, and is now kept in ${hostPlaces.keys}: stop its units, copy the folders keys and state from there to ${stateHome} with cp -a, remove ${hostPlaces.config}, and enrol again`,
    ];
  return [];
};

/** Why an agent can't be installed on a machine, each with what to do. */
export const unfit = (seen: Surveyed, wanted: { host: string; fleet: string }): string[] => [
  ...someoneElse(seen, wanted),
  ...(seen.uid === 0 ? [] : [`the login became user ${seen.uid} and not root`]),
  ...(seen.systemd === null ? ['systemd does not run it'] : []),
  ...(seen.missing.length === 0
    ? []
    : [`it lacks ${seen.missing.join(', ')}: install them on ${wanted.host}`]),
  ...seen.lacking.map(
    (path) => `${path} is not there, and the host's config names it: see docs/enrolling-a-host.md`,
  ),
  ...seen.free
    .filter(({ bytes }) => bytes < neededBytes)
    .map(
      ({ folder, bytes }) =>
        `${megabytes(bytes)} are free for ${folder} and ${megabytes(neededBytes)} are needed`,
    ),
];

/** The work that a restart of a host's units would interrupt, in a sentence; null if there is none. */
export const cutByRestart = ({ open }: Surveyed, host: string): string | null => {
  if (open?.deadline)
    return `${open.deadline}, and the units of ${host} would be restarted: wait until the iteration has confirmed or rolled back`;
  if (open && open.attempts.length > 0)
    return `${host} works on ${open.attempts.join(', ')}, which a restart would interrupt: wait until that is done`;
  return null;
};

/** What would be done on a host, one line each; empty if everything is as it should be. */
export const differences = (
  seen: Surveyed,
  wanted: { user: string | null; units: readonly string[]; build: string; hasNewKey: boolean; host: string },
): string[] => {
  const lines = [
    ...(seen.hasUser ? [] : [`make the system user ${wanted.user}`]),
    ...(seen.key ? [] : [`make the host's key ${hostPlaces.key}`]),
    ...(wanted.hasNewKey ? [`pin the host's key for ${wanted.host} in the fleet's file here`] : []),
    ...(seen.key ? [] : [`put ${hostPlaces.trust}`]),
    ...seen.absent.filter((path) => path !== hostPlaces.current).map((path) => `put ${path}`),
    ...seen.other.filter((path) => path !== hostPlaces.current).map((path) => `change ${path}`),
    ...seen.logins,
  ];
  const now = seen.links[hostPlaces.current];
  if (now !== wanted.build)
    lines.push(
      now === undefined ? `install build ${wanted.build}` : `go from build ${now} to ${wanted.build}`,
    );
  const isDown = seen.units.some(({ active, enabled }) => active !== 'active' || enabled !== 'enabled');
  if (lines.length > 0 || isDown || seen.isOwed)
    lines.push(`enable and restart ${wanted.units.join(' and ')}`);
  return lines;
};

const authorize = (config: AgentConfig, sshPublicKey: string): string[] => {
  if (config.role === 'builder')
    return [`let this key read and write the git repositories of the config: ${sshPublicKey}`];
  const key = sshPublicKey.split(' ').slice(0, 2).join(' ');
  const stores = config.role === 'board' ? ', stores: { megabytes: … }' : '';
  return Object.keys(config.peers).map(
    (name) =>
      `unless it is there: in the file of ${name}, below "logins", ${config.host}: { key: ${key}${stores} }; then enrol ${name} again`,
  );
};

/**
 * What is left to do by hand so that this host can take part.
 * @param isChanged whether something on it or in the fleet's file was changed. Whether the work elsewhere was done
 * after an earlier, perhaps interrupted change is unknown here, so it is listed again.
 */
export const whatRemains = (
  config: AgentConfig,
  { isChanged, key, sshPublicKey }: { isChanged: boolean } & Pick<Surveyed, 'key' | 'sshPublicKey'>,
): string[] => [
  ...(isChanged
    ? [
        'unless that was done since its key was pinned: renew the users of nats-server (ka fleet nats-config, then restart it), and make the host its durable in the log (ka fleet make-log)',
        "unless they have this fleet's file: copy it to the coordinator and restart that; enrol the other hosts again, which copies it to them",
      ]
    : []),
  ...(key?.next ? [`the key ${key.next} waits beside the host's own: see docs/trust.md on rotating`] : []),
  ...(sshPublicKey === null ? [] : authorize(config, sshPublicKey)),
  ...(config.role === 'board' && config.boot.loader === undefined
    ? ['the config has no boot.loader, so a new kernel that does not come up stays: see docs/boot-loader.md']
    : []),
];
