import { join } from 'node:path';
import { type Need, orNoRoom, requireRoom } from '../../host/disk-room.ts';
import { hashFile } from '../../host/hash-file.ts';
import type { Run } from '../../host/run.ts';
import { connect } from '../../host/ssh.ts';
import type { Peer, PublisherConfig } from '../../schemas/config.ts';
import type { PackageFile, StepRequest } from '../../schemas/steps.ts';
import { StepFailed } from '../runtime/errors.ts';
import { refuseUnexpectedContents } from '../runtime/package/package-contents.ts';
import { readPackageFile } from '../runtime/package/package-file.ts';
import { requireProvenance } from '../runtime/provenance.ts';
import type { Step } from '../runtime/step.ts';
import { signingTrial } from './openpgp.ts';
import { describePackage, type VersionedPackage } from './package-database.ts';
import { publishPackages } from './publish-packages.ts';
import { servedPackage } from './repository-view.ts';

const hashOf = (path: string): Promise<string | undefined> =>
  hashFile(path).then(
    ({ sha256 }) => sha256,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return undefined;
    },
  );

/** The packages in a folder as they describe themselves; undefined if one is missing or is not the expected file. */
const held = async (
  run: Run,
  folder: string,
  expected: readonly PackageFile[],
): Promise<VersionedPackage[] | undefined> => {
  const packages: VersionedPackage[] = [];
  for (const { file, sha256 } of expected) {
    const path = join(folder, file);
    if ((await hashOf(path)) !== sha256) return undefined;
    packages.push(await describePackage(run, path));
  }
  return packages;
};

/** The room for the signatures, and twice for the repository's database. */
const besidesBytes = 4 * 1024 * 1024;

/** The packages are written twice: here, and into the repository's new view. */
const neededRoom = (
  { packages }: StepRequest<'publish'>,
  { repository }: PublisherConfig,
  workFolder: string,
): Need[] => {
  const bytes = packages.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return [
    { folder: workFolder, bytes },
    { folder: repository.folder, bytes: bytes + besidesBytes },
  ];
};

/** Copies from the builder the files that are not here yet, checking size and sha256. */
const fetchFrom = async (
  peer: Peer,
  request: StepRequest<'publish'>,
  folder: string,
  signal: AbortSignal,
) => {
  const connection = await connect(peer, signal);
  try {
    for (const { file, sizeBytes, sha256 } of request.packages)
      if ((await hashOf(join(folder, file))) !== sha256)
        await connection.fetch(`${request.folder}/${file}`, join(folder, file), { sizeBytes, sha256 });
  } finally {
    connection.close();
  }
};

/** @throws {StepFailed} (work) if a file holds another package, or another version, than the request names. */
const expectAsked = (packages: readonly VersionedPackage[], request: StepRequest<'publish'>): void => {
  for (const [index, { name, version, file }] of packages.entries()) {
    const asked = request.packages[index]?.name;
    if (name !== asked || version !== request.version)
      throw new StepFailed(
        'work',
        `${file} holds ${name} ${version} and ${asked} ${request.version} was asked for.`,
      );
  }
};

/** Compares what the packages hold with what those do that are served now. @throws {StepFailed} (work) */
const expectKernels = async (
  run: Run,
  host: PublisherConfig,
  folder: string,
  {
    packages,
    ...planned
  }: Parameters<typeof refuseUnexpectedContents>[2] & { packages: readonly PackageFile[] },
): Promise<void> => {
  for (const { name, file } of packages) {
    const before = await servedPackage(host, run, name);
    const contents = await readPackageFile(run, join(folder, file));
    refuseUnexpectedContents(
      contents,
      before === undefined ? undefined : await readPackageFile(run, before),
      planned,
    );
  }
};

/**
 * Fetches the builder's packages, signs them with the one key, and publishes them.
 * @throws {StepFailed} (host) if the key can't sign, there is no room, or the builder can't be reached; (work) if the
 * packages are not attested and approved, one is not the requested one, or the repository holds a newer one.
 */
export const publish: Step<'publish', PublisherConfig> = async (
  request,
  { effect, host, run, workFolder, key, signal, trust, iteration },
) => {
  const { provenance } = request;
  const { plan } = requireProvenance(provenance, trust, iteration, request);
  const proved = request.packages.map(({ file, sha256 }) => ({ file, sha256 }));
  const proof = provenance && { iteration, packages: proved, provenance };
  const peer = Object.hasOwn(host.peers, request.builder) ? host.peers[request.builder] : undefined;
  if (peer === undefined)
    throw new StepFailed(
      'host',
      `${host.host} has no peer ${request.builder} in its config: enrol that builder here.`,
    );

  await effect('trial', signingTrial(run, host.signing, workFolder));

  const packages = await effect('fetch', {
    before: () => requireRoom('the publication', neededRoom(request, host, workFolder)),
    probe: async () => {
      const result = await held(run, workFolder, request.packages);
      return result ? { happened: 'yes', result } : { happened: 'no' };
    },
    act: async () => {
      await orNoRoom(workFolder, () => fetchFrom(peer, request, workFolder, signal));
      const result = await held(run, workFolder, request.packages);
      if (result === undefined)
        throw new StepFailed('host', `What was fetched into ${workFolder} was altered there: see its disk.`);
      return result;
    },
  });
  expectAsked(packages, request);
  await expectKernels(run, host, workFolder, { packages, ...plan.package });

  return publishPackages({
    config: host,
    run,
    folder: workFolder,
    packages,
    view: key,
    proof,
    effect,
    signal,
  });
};
