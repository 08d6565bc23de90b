import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { orNoRoom } from '../../host/disk-room.ts';
import { hashFile } from '../../host/hash-file.ts';
import type { Run } from '../../host/run.ts';
import { type PackageProof, proofSuffix } from '../../schemas/attestation.ts';
import type { PublisherConfig } from '../../schemas/config.ts';
import { sha256 } from '../../schemas/hash.ts';
import type { PackageFile, StepEvidence } from '../../schemas/steps.ts';
import { withoutJournal } from '../runtime/effects.ts';
import { StepFailed } from '../runtime/errors.ts';
import { verifySignature } from '../runtime/openpgp-verify.ts';
import type { Effect, Probed } from '../runtime/step.ts';
import { copyToMirror, differencesOnMirror, type ServedFile } from './mirror.ts';
import { packagesGone } from './old-packages.ts';
import { signDetached } from './openpgp.ts';
import type { VersionedPackage } from './package-database.ts';
import { buildView, currentView, hasView, swapView, viewsFolder } from './repository-view.ts';

type PublicationEffect = 'sign' | 'view' | 'swap' | 'mirror';

/** What is published, with what and where. */
export interface Publication {
  config: Pick<PublisherConfig, 'signing' | 'repository' | 'mirror' | 'keep'>;
  run: Run;
  /** Where the package files are; their signatures are put beside them. */
  folder: string;
  packages: readonly VersionedPackage[];
  /** The new view's name. */
  view: string;
  /** What boards require before they take the packages by an ordinary `pacman -Syu`. */
  proof?: PackageProof | undefined;
  /** Default: {@link withoutJournal}. */
  effect?: Effect<PublicationEffect>;
  signal?: AbortSignal;
}

const happened = (answer: boolean): Probed<null> =>
  answer ? { happened: 'yes', result: null } : { happened: 'no' };

/** Whether every package has a good signature by this key beside it. */
const isSigned = async ({ config, run, folder, packages }: Publication): Promise<boolean> => {
  const { keyring, fingerprint } = config.signing;
  for (const { file: name } of packages) {
    const file = join(folder, name);
    try {
      await verifySignature(run, { file, signature: `${file}.sig`, keyring, fingerprint });
    } catch (error) {
      if (error instanceof StepFailed && error.fault === 'work') return false;
      throw error;
    }
  }
  return true;
};

/** @throws {StepFailed} (host) if a file of ours is no longer what it was. */
const expectFile = async (path: string, sha256: string): Promise<void> => {
  const found = await hashFile(path);
  if (found.sha256 !== sha256)
    throw new StepFailed(
      'host',
      `${path} has the sha256 ${found.sha256} and ${sha256} was expected: it was altered here.`,
    );
};

/** Reads what is served now, from the first byte to the last, and verifies it. */
const look = async ({ config, run, packages, view, proof }: Publication) => {
  const { keyring, fingerprint } = config.signing;
  const { folder, name } = config.repository;
  const current = await currentView(config);
  if (current !== view)
    throw new StepFailed(
      'host',
      `${join(folder, 'current')} shows ${current}, not ${view}: somebody else publishes here.`,
    );
  const served = (file: string) => join(folder, 'current', file);
  const verify = (file: string) =>
    verifySignature(run, { file: served(file), signature: served(`${file}.sig`), keyring, fingerprint });
  const signedPackages: (PackageFile & { signatureSha256: string })[] = [];
  for (const { version: _, ...described } of packages) {
    await expectFile(served(described.file), described.sha256);
    await verify(described.file);
    if (proof) await expectFile(served(`${described.file}${proofSuffix}`), sha256(JSON.stringify(proof)));
    const { sha256: signatureSha256 } = await hashFile(served(`${described.file}.sig`));
    signedPackages.push({ ...described, signatureSha256 });
  }
  const file = `${name}.db`;
  const signer = await verify(file);
  const database = {
    file,
    sha256: (await hashFile(served(file))).sha256,
    signatureSha256: (await hashFile(served(`${file}.sig`))).sha256,
  };
  return { repository: name, view, fingerprint: signer.fingerprint, packages: signedPackages, database };
};

/** The files of a publication that its mirror has to serve. */
const servedFiles = (
  { config: { repository }, proof }: Publication,
  { database, packages }: Awaited<ReturnType<typeof look>>,
): Promise<ServedFile[]> => {
  const signed = [...packages, database].flatMap(({ file, sha256, signatureSha256 }) => [
    { file, sha256 },
    { file: `${file}.sig`, sha256: signatureSha256 },
  ]);
  const proofs = proof
    ? packages.map(({ file }) => ({ file: `${file}${proofSuffix}`, sha256: sha256(JSON.stringify(proof)) }))
    : [];
  const served = [...signed, ...proofs];
  return Promise.all(
    served.map(async (each) => ({
      ...each,
      sizeBytes: (await stat(join(repository.folder, 'current', each.file))).size,
    })),
  );
};

/**
 * Signs packages, adds them to the repository in a new view, serves it and mirrors it. The first publication makes the
 * repository. If this is cut anywhere, clients get either the old view or the new one, complete.
 * @throws {StepFailed} (host) if the key can't sign, (work) if the repository holds a newer version.
 */
export const publishPackages = async (publication: Publication): Promise<StepEvidence<'publish'>> => {
  const { config, run, folder, packages, view, proof, effect = withoutJournal, signal } = publication;

  await effect('sign', {
    probe: async () => happened(await isSigned(publication)),
    act: async () => {
      for (const { file, sha256 } of packages) {
        await expectFile(join(folder, file), sha256);
        await signDetached(run, config.signing, join(folder, file));
      }
      return null;
    },
  });

  const { base } = await effect('view', {
    before: async () => ({ base: (await currentView(config)) ?? null }),
    probe: async ({ base }) =>
      (await hasView(config, view)) ? { happened: 'yes', result: { base } } : { happened: 'no' },
    act: () => buildView(config, run, { view, from: folder, packages, proof }),
  });

  await effect('swap', {
    probe: async () => happened((await currentView(config)) === view),
    act: async () => {
      await swapView(config, { view, base });
      return null;
    },
  });

  const seen = await look(publication);
  const { mirror } = config;
  if (mirror === undefined) return { ...seen, mirror: null };
  const files = await servedFiles(publication, seen);
  const signed = files.filter(({ file }) => !file.endsWith(proofSuffix)).length;
  const filesMatched = await effect('mirror', {
    probe: async () =>
      (await differencesOnMirror(mirror, files, signal)).length === 0
        ? { happened: 'yes', result: signed }
        : { happened: 'no' },
    act: async () => {
      const copied = {
        folder: join(viewsFolder(config), view),
        name: config.repository.name,
        gone: await packagesGone(config, { base, view }),
      };
      await orNoRoom(mirror.destination, () => copyToMirror(run, mirror, copied));
      const [difference] = await differencesOnMirror(mirror, files, signal);
      // If the mirror is late, the next try copies and checks again.
      if (difference)
        throw new Error(
          `${mirror.url} serves ${difference.file} as ${difference.found} after the copy to ${mirror.destination}`,
        );
      return signed;
    },
  });
  return { ...seen, mirror: { url: mirror.url, databaseSha256: seen.database.sha256, filesMatched } };
};
