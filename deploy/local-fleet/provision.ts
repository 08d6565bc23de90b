import { copyFile, mkdir, rm, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describePackage } from '../../agents/publisher/package-database.ts';
import { publishPackages } from '../../agents/publisher/publish-packages.ts';
import type { Run } from '../../host/run.ts';
import { PublisherKeeps } from '../../schemas/limits.ts';
import type { Making, SandboxExample } from '../examples/example.ts';
import { defaultCacheFolder } from '../places/default-folders.ts';
import { hostNames, type SandboxPlaces, sandboxPlaces } from '../places/sandbox-places.ts';
import { createLoggedRun } from '../processes/logged-run.ts';
import { buildBaseline } from './baseline.ts';
import type { BoardMaking } from './board/board-making.ts';
import { installBaseline, writePacmanConfigs } from './board/board-pacman.ts';
import { claimFolder, sandboxEntries } from './claim-folder.ts';
import { publishing } from './configs.ts';
import { writeFleetFile } from './fleet-file.ts';
import { makeIdentities } from './identities.ts';
import { keptWorktrees } from './kept-worktrees.ts';
import { makeOpenFolder } from './open-folder.ts';
import { type SandboxFacts, writeFacts } from './sandbox-facts.ts';
import { holdSandbox } from './sandbox-lock.ts';
import { endLeftovers } from './sandbox-state.ts';
import { startFileServer } from './servers/file-server.ts';
import { repositoryUrl, servedFolders } from './servers/served-folders.ts';
import { endGpgDaemons, placeSigningKey } from './signing-key.ts';

/**
 * Leaves room for `S.gpg-agent.browser` in the sandbox's longest GnuPG home: unix(7) allows a socket's path 107
 * characters.
 */
const longestFolder = 107 - '/fresnel/root/etc/pacman.d/gnupg/S.gpg-agent.browser'.length;

/** Removes a sandbox's content. @throws {Error} if the folder holds something else. */
const wipe = async (places: SandboxPlaces): Promise<void> => {
  // The marker stays, so that the folder is known as a sandbox after an interrupted wipe.
  for (const name of await sandboxEntries(places))
    if (name !== basename(places.marker))
      await rm(join(places.folder, name), { recursive: true, force: true });
};

/** Publishes the baseline with the publisher's own code, and installs it on the board over HTTP. */
const publishAndInstall = async (
  run: Run,
  places: SandboxPlaces,
  example: SandboxExample,
  {
    files,
    fingerprint,
    onProgress,
  }: { files: string[]; fingerprint: string; onProgress: (line: string) => void },
): Promise<string> => {
  const folder = join(places.folder, 'baseline');
  await mkdir(folder, { recursive: true });
  for (const file of files) await copyFile(file, join(folder, basename(file)));
  const server = await startFileServer(servedFolders(places));
  try {
    const servers = { filesPort: server.port };
    onProgress('publishing the baseline on hertz');
    const packages = await Promise.all(
      files.map((file) => describePackage(run, join(folder, basename(file)))),
    );
    await publishPackages({
      config: { ...publishing(places, fingerprint, servers), keep: PublisherKeeps.parse({}) },
      run,
      folder,
      packages,
      view: 'baseline',
    });
    onProgress('installing the baseline on fresnel');
    await writePacmanConfigs(places, { carch: example.carch, repositoryUrl: repositoryUrl(servers) });
    return await installBaseline(run, places, example);
  } finally {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
};

/**
 * Makes a sandbox fleet in its state before the iteration: hosts with their keys, git repositories, the package
 * repository with the signed baseline, and a board on which it is installed. A sandbox in the folder that does not run
 * is wiped. Nothing runs afterwards.
 * @throws {Error} in one sentence, if a sandbox runs there, something else is there, or a program fails.
 */
export const provisionSandbox = async ({
  folder,
  example,
  board,
  onProgress = () => undefined,
  cacheFolder = defaultCacheFolder(),
}: {
  folder: string;
  example: SandboxExample;
  board: BoardMaking;
  onProgress?: (line: string) => void;
  cacheFolder?: string;
}): Promise<void> => {
  const places = sandboxPlaces(folder);
  if (places.folder.length > longestFolder)
    throw new Error(
      `${places.folder} is longer than ${longestFolder} characters, too long for GnuPG's sockets: name another folder`,
    );
  await claimFolder(places);
  const letGo = await holdSandbox(places);
  try {
    await endLeftovers(places);
    await wipe(places);
    await writeFacts(places, {});
    const folders = [...hostNames.map(places.host), places.control, places.git, places.mirror, places.run];
    for (const each of folders) await makeOpenFolder(each);
    await makeOpenFolder(places.shared);
    await symlink('../repository/views', join(places.shared, 'views'));
    const run = createLoggedRun(places.log('provision'));
    const making: Making = { places, cacheFolder, onProgress };

    const publicKeys = await makeIdentities(places, board.kind);
    onProgress('making the git repositories');
    await example.makeRepositories(making);
    for (const host of ['boltzmann', 'fermi'] as const) {
      for (const each of [places.sources(host), places.offered(host)]) await makeOpenFolder(each);
      await example.makeSources(making, places.sources(host));
    }
    const files = await buildBaseline(run, example, making, example.packageFolder(making));
    let [fingerprint, baselineVersion] = ['', ''];
    await board.make(making, run, example, async () => {
      fingerprint = await placeSigningKey(run, places, cacheFolder, onProgress);
      baselineVersion = await publishAndInstall(run, places, example, { files, fingerprint, onProgress });
      await endGpgDaemons(run, places);
    });
    await writeFleetFile(places, { fleet: board.fleet, board: board.kind, fingerprint }, publicKeys);
    const worktrees = await keptWorktrees(example, making);
    const facts: Omit<SandboxFacts, 'kind'> = {
      fleet: board.fleet,
      board: board.kind,
      example: example.name,
      baselineVersion,
      fingerprint,
      ...(worktrees === undefined ? {} : { worktrees }),
      ...(board.ports && { ports: board.ports }),
    };
    await board.finish?.(making, example, facts);
    await writeFacts(places, facts);
  } finally {
    await letGo();
  }
};
