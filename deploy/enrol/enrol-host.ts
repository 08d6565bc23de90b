import { readFile } from 'node:fs/promises';
import { Refused } from '../../coordinator/decider/decide.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { createRun } from '../../host/run.ts';
import { EnrolledHost } from '../../schemas/config.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { defaultCacheFolder } from '../places/default-folders.ts';
import { bundleAgent } from './agent-bundle.ts';
import { changeFleetFile, withHost } from './fleet-file.ts';
import { completeConfig, neededPaths, neededPrograms } from './host-config.ts';
import { type HostLogin, openHostLine } from './host-line.ts';
import { Applied, Started, Surveyed } from './on-host/asked.ts';
import { hostPlaces, openWorkArgv, programsFolder, stateHome } from './places.ts';
import { cutByRestart, differences, unfit, whatRemains } from './plan.ts';
import { addonFile, sqliteAddon } from './sqlite-addon.ts';
import { unitFiles } from './unit-files.ts';
import { buildFiles, type FileWithBytes, fleetCopy, wantedHost } from './wanted-host.ts';

export interface EnrolOptions {
  host: string;
  login: HostLogin;
  /** The host's config without what enrolment decides: {@link EnrolledHost}, as YAML. */
  hostConfigFile: string;
  /** The operator's fleet file, which gets the host and its key. */
  fleetFile: string;
  /** Says what would be done, and does nothing. */
  dryRun?: boolean;
  /** The host was set up anew: its new key takes the place of the one that is pinned. */
  replacesKey?: boolean;
  /** Restarts the units whatever the host is at. */
  force?: boolean;
  /** Headers of the host's Node, where they are not this machine's and node-gyp is not to fetch them. */
  nodeHeaders?: string;
  cacheFolder?: string;
  onProgress?: (line: string) => void;
  signal?: AbortSignal;
}

export interface Enrolled {
  host: string;
  role: string;
  /** The build that runs there. */
  build: string;
  /** The host's NKey; null where nothing was done yet and it has none. */
  publicKey: string | null;
  /** Of the identity that it logs in to its peers with, `ssh-ed25519 AAAA… kernel-agent@HOST`; null if it needs none. */
  sshPublicKey: string | null;
  /** What differed, and with a dry run still does. */
  differences: string[];
  /** Whether the units were restarted. */
  restarted: boolean;
  /** What is left to do by hand, elsewhere. */
  remains: string[];
}

const send = (files: readonly FileWithBytes[]) =>
  files.map(({ bytes, ...file }) => ({ ...file, base64: Buffer.from(bytes).toString('base64') }));
const describe = (files: readonly FileWithBytes[]) => files.map(({ bytes: _, ...file }) => file);

/**
 * Makes a machine a host of the fleet, over SSH: its keys are made there, its agent is put there and runs when this returns.
 * What is right already stays as it is. Cut anywhere, it may be done again.
 * @throws {Refused} if the machine or the files don't allow it; nothing was changed then.
 */
export const enrolHost = async (options: EnrolOptions): Promise<Enrolled> => {
  const { host, login, hostConfigFile, fleetFile, signal, onProgress = () => undefined } = options;
  const fleet = readConfigFile(fleetFile, Fleet);
  const written = readConfigFile(hostConfigFile, EnrolledHost);
  const complete = completeConfig(written, { fleet: fleet.fleet, host, file: hostConfigFile });
  const { config } = complete;
  if (config.role !== 'builder' && config.signing.fingerprint !== fleet.signingKey)
    throw new Refused(
      `${hostConfigFile} names the signing key ${config.signing.fingerprint}, and the fleet's is ${fleet.signingKey}`,
    );
  const { units, files: unitTexts } = await unitFiles(config);
  const { user, places, pacmanConfig, ...wanted } = await wantedHost(complete, unitTexts);

  const line = await openHostLine(login, (said) => onProgress(`${host}: ${said}`), signal);
  try {
    const asked = {
      do: 'survey' as const,
      places,
      configFile: hostPlaces.config,
      openWork: openWorkArgv,
      user,
      programs: neededPrograms(config),
      paths: neededPaths(config),
      folders: wanted.folders,
      files: [],
      links: [],
      pacmanConfig,
      units,
    };
    onProgress(`looking at ${host}`);
    const first = await line.ask(asked, Surveyed);
    const why = unfit(first, { host, fleet: fleet.fleet });
    if (why.length > 0) throw new Refused(`${host} can't be enrolled yet: ${why.join('; ')}`);

    const addon = await sqliteAddon(first.node, {
      cacheFolder: options.cacheFolder ?? defaultCacheFolder(),
      run: createRun(() => undefined, signal),
      onProgress,
      ...(options.nodeHeaders === undefined ? {} : { nodeHeaders: options.nodeHeaders }),
    });
    const programs = await bundleAgent(config.role);
    const { build, folder, files: buildOnes } = buildFiles(programs.set(addonFile, addon));
    const buildFolder = { path: folder, mode: 0o755, owner: 'root' };
    const link = { path: hostPlaces.current, target: build };
    const fleetText = await readFile(fleetFile, 'utf8');
    const withKeys = (text: string, keys: NonNullable<typeof first.key>) =>
      withHost(text, { host, role: config.role, keys, replacesKey: options.replacesKey === true });
    if (first.key === null && fleet.hosts[host] !== undefined && !options.replacesKey)
      throw new Refused(
        `the fleet's file pins ${fleet.hosts[host].publicKey} for ${host}, and there is no key on it: put its key back in ${places.keyFile}, or if it is lost, revoke it (ka key revoke ${host} --why …), then enrol with --replace-key`,
      );
    const newFleetText = first.key ? withKeys(fleetText, first.key) : undefined;
    const configOnes = [...wanted.files, ...(newFleetText === undefined ? [] : [fleetCopy(newFleetText)])];
    const seen = await line.ask(
      {
        ...asked,
        openWork: [],
        folders: [...wanted.folders, buildFolder],
        files: describe([...buildOnes, ...configOnes]),
        links: [link],
      },
      Surveyed,
    );
    const found = differences(seen, { user, units, build, hasNewKey: newFleetText !== fleetText, host });
    const isDifferent = (path: string) => seen.absent.includes(path) || seen.other.includes(path);
    const enrolled = (keys: Pick<typeof first, 'key' | 'sshPublicKey'>, restarted: boolean): Enrolled => ({
      host,
      role: config.role,
      build,
      publicKey: keys.key?.publicKey ?? null,
      sshPublicKey: keys.sshPublicKey,
      differences: found,
      restarted,
      remains: whatRemains(config, { isChanged: found.length > 0, ...keys }),
    });
    const cut = found.length === 0 || options.force ? null : cutByRestart(first, host);
    if (cut !== null && !options.dryRun) throw new Refused(`${cut}; --force does it all the same`);
    if (cut !== null) onProgress(`only with --force now: ${cut}`);
    if (options.dryRun || found.length === 0) return enrolled(first, false);

    const common = {
      do: 'apply' as const,
      places,
      user: null,
      keysOf: null,
      identityComment: '',
      check: null,
    };
    const prepared = await line.ask(
      {
        ...common,
        user: user === null ? null : { name: user, home: stateHome },
        folders: [...wanted.folders, buildFolder],
        files: send(buildOnes.filter(({ path }) => isDifferent(path))),
        links: [],
        keysOf: user ?? 'root',
        identityComment: `kernel-agent@${host}`,
        pacmanConfig,
        check: [first.node.file, `${folder}/host.mjs`, 'check'],
      },
      Applied,
    );
    if (prepared.key === null) throw new Error(`${host} has no key in ${places.keyFile} after it was made`);
    const { key } = prepared;
    const { text: pinned, isChanged } = await changeFleetFile(fleetFile, (text) => withKeys(text, key));
    if (isChanged) onProgress(`${fleetFile}: ${host} has the key ${key.publicKey}`);
    await line.ask(
      {
        ...common,
        folders: [],
        files: send([
          ...wanted.files.filter(({ path }) => isDifferent(path)),
          ...(newFleetText === pinned && !isDifferent(hostPlaces.fleet) ? [] : [fleetCopy(pinned)]),
        ]),
        links: [link],
        pacmanConfig: null,
      },
      Applied,
    );
    onProgress(`starting ${units.join(' and ')} on ${host}`);
    const before = seen.links[hostPlaces.current];
    const started = await line.ask(
      {
        do: 'start',
        places,
        units,
        // Where this build ran already, nobody knows which one it took the place of: that one stays.
        builds: {
          folder: programsFolder,
          keep: before === undefined || before === build ? null : [build, before],
        },
      },
      Started,
    );
    const done = enrolled(prepared, true);
    const down = started.units.filter(({ active }) => active !== 'active');
    if (down.length > 0) {
      // It may be why they are down.
      for (const each of done.remains) onProgress(`remains to do by hand: ${each}`);
      throw new Error(
        down
          .map(({ name, active, says }) => `${name} on ${host} is ${active}; it says:\n${says.join('\n')}`)
          .join('\n'),
      );
    }
    return done;
  } finally {
    line.close();
  }
};
