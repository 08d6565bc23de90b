import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { requireRoom } from '../../host/disk-room.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { Step } from '../runtime/step.ts';
import { fetchFile, type Transfer } from './download.ts';
import { peerNamed } from './peer-named.ts';
import { repositoryFile } from './repository-file.ts';
import {
  hasContent,
  refuseOtherKey,
  type SignedPackage,
  stagedFile,
  stagedFolder,
  verifyStaged,
} from './staged.ts';

/** Files that an earlier iteration left would take the room of this one. */
const removeOthers = async (host: BoardConfig, packages: readonly SignedPackage[]): Promise<void> => {
  const wanted = new Set(packages.map(({ sha256 }) => sha256));
  for (const folder of await readdir(stagedFolder(host)))
    if (!wanted.has(folder)) await rm(join(stagedFolder(host), folder), { recursive: true, force: true });
};

const refuseWithoutRoom = async (host: BoardConfig, packages: readonly SignedPackage[]): Promise<void> => {
  let needed = host.reserveBytes;
  for (const wanted of packages)
    if (!(await hasContent(stagedFile(host, wanted), wanted.sha256))) needed += wanted.sizeBytes;
  await requireRoom('the download, with the reserve,', [{ folder: stagedFolder(host), bytes: needed }]);
};

/**
 * Downloads the packages and their signatures, over the LAN if the repository stalls, and checks both with the key that
 * the board pins. Only the staged folder changes. A cut leaves `.part` files with which the next try goes on.
 */
export const stage: Step<'stage', BoardConfig> = async (request, { effect, host, run, note, signal }) => {
  refuseOtherKey(host, request.fingerprint);
  const peer = peerNamed(host, request.lan.host);
  await mkdir(stagedFolder(host), { recursive: true });
  await removeOthers(host, request.packages);
  await refuseWithoutRoom(host, request.packages);

  const packages: (SignedPackage & { transfers: Transfer[] })[] = [];
  for (const wanted of request.packages) {
    const local = stagedFile(host, wanted);
    const fetched = async (file: string, local: string, content: { sha256: string; sizeBytes?: number }) => {
      const url = repositoryFile(host, file);
      const { view } = request.lan;
      const remote = view === undefined ? file : `views/${view}/${file}`;
      const { stallSeconds = 10 } = host;
      const transfers = await fetchFile(
        run,
        { url, local, ...content },
        { peer, remote, stallSeconds, signal },
      );
      for (const { path, bytes, seconds, complete, why } of transfers)
        note(`${file}: ${path}, ${bytes} bytes in ${seconds.toFixed(1)} s${complete ? '' : `: ${why}`}`);
      return transfers;
    };
    const transfers = await effect(`package ${wanted.file}`, {
      probe: async () =>
        (await hasContent(local, wanted.sha256)) && (await hasContent(`${local}.sig`, wanted.signatureSha256))
          ? {
              happened: 'yes',
              result: [{ path: 'here', bytes: 0, seconds: 0, complete: true }] as Transfer[],
            }
          : { happened: 'no' },
      act: async () => {
        const { sha256, sizeBytes, signatureSha256 } = wanted;
        await fetched(`${wanted.file}.sig`, `${local}.sig`, { sha256: signatureSha256 });
        return fetched(wanted.file, local, { sha256, sizeBytes });
      },
    });
    await verifyStaged(run, host, wanted);
    packages.push({ ...wanted, transfers });
  }
  return { fingerprint: host.signing.fingerprint, packages };
};
