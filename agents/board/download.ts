import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fetchUrl } from '../../host/fetch-url.ts';
import { hashFile } from '../../host/hash-file.ts';
import type { Run } from '../../host/run.ts';
import { type Connection, connect } from '../../host/ssh.ts';
import { syncPath } from '../../host/sync-path.ts';
import type { Peer } from '../../schemas/config.ts';
import type { StepEvidence } from '../../schemas/steps.ts';
import { asStepFailed, StepFailed } from '../runtime/errors.ts';
import { signatureAtMostBytes } from '../runtime/openpgp-verify.ts';
import { hasContent } from './staged.ts';

export type Transfer = StepEvidence<'stage'>['packages'][number]['transfers'][number];

interface Wanted {
  url: string;
  local: string;
  sha256: string;
  /** Absent for a signature, whose size is unknown: at most {@link signatureAtMostBytes} then. */
  sizeBytes?: number;
}

/** curl's options: when a download counts as stalled. */
const patience = (stallSeconds: number): string[] => [
  ...['--connect-timeout', String(stallSeconds)],
  ...['--speed-limit', String(stalledBelow), '--speed-time', String(stallSeconds)],
];

const tries = 3;
/** A download below this many bytes per second counts as stalled. */
const stalledBelow = 1000;
const timeoutMs = 6 * 60 * 60_000;

const sizeOf = (file: string): Promise<number> =>
  stat(file).then(
    ({ size }) => size,
    () => 0,
  );

// curl(1), "EXIT CODES".
const curlSaid: Record<number | 'too-much', string | undefined> = {
  6: 'its name is not known',
  7: 'nobody answers there',
  18: 'the connection ended early',
  22: 'it answered with an error',
  28: 'it stalled',
  33: 'it can send no part of a file',
  60: 'its certificate is refused, which a wrong clock can also cause',
  63: 'it would send more than was expected',
  'too-much': 'it sent more than was expected',
};

/**
 * Downloads with curl by way of `<local>.part`, which a later call resumes. The file gets its own name only once its
 * sha256 is the expected one.
 * @returns The tries in order; the last one is complete if the file is there.
 * @throws {StepFailed} (host) if it can't be written.
 */
export const download = async (
  run: Run,
  { url, local, sha256, sizeBytes }: Wanted,
  stallSeconds: number,
): Promise<Transfer[]> => {
  const part = `${local}.part`;
  const transfers: Transfer[] = [];
  await mkdir(dirname(local), { recursive: true });
  for (let tried = 1; tried <= tries; tried++) {
    if (sizeBytes === undefined || (await sizeOf(part)) > sizeBytes) await rm(part, { force: true });
    const from = await sizeOf(part);
    // A server answers a request for the part after the end with an error.
    const { ended, seconds } =
      from === sizeBytes
        ? { ended: 0, seconds: 0 }
        : await fetchUrl(
            run,
            { url, file: part, from, atMostBytes: sizeBytes ?? signatureAtMostBytes },
            { options: patience(stallSeconds), timeoutMs },
          ).catch((error: NodeJS.ErrnoException) => {
            if (error.syscall !== 'write' && error.syscall !== 'open') throw error;
            throw new StepFailed(
              'host',
              `${part} can't be written (${error.message}): look at the disk's room and state.`,
            );
          });
    const here = await sizeOf(part);
    const transfer = { path: 'repository', bytes: Math.max(0, here - from), seconds } as const;
    if (ended === 0) {
      const found = (await hashFile(part)).sha256;
      if (found === sha256) {
        await syncPath(part);
        await rename(part, local);
        await syncPath(dirname(local));
        return [...transfers, { ...transfer, complete: true }];
      }
      await rm(part);
      transfers.push({
        ...transfer,
        complete: false,
        why: `${url} has the sha256 ${found} and ${sha256} was expected`,
      });
      // The part that an earlier download left may have been wrong. A file that was downloaded whole is simply another
      // file.
      if (from > 0) continue;
      return transfers;
    }
    const why = `${curlSaid[ended] ?? 'curl failed'} after ${here} of ${sizeBytes ?? 'its'} bytes (curl ${ended})`;
    transfers.push({ ...transfer, complete: false, why });
    if (ended === 33 || ended === 63 || ended === 'too-much') await rm(part, { force: true });
    else if (ended === 22 || here === from) return transfers;
  }
  return transfers;
};

/** Copies over SSH from a pinned peer; a `.part` that the download left is resumed. */
const lanCopy = async (
  lan: Connection,
  remote: string,
  { local, sha256, sizeBytes }: Wanted,
): Promise<Transfer> => {
  const size = sizeBytes ?? (await lan.hash(remote, signatureAtMostBytes))?.sizeBytes ?? signatureAtMostBytes;
  const travelled = await lan.fetch(remote, local, { sha256, sizeBytes: size });
  return { path: 'lan', ...travelled, complete: true };
};

/**
 * Gets a file: it is here already, or it comes from the repository or over the LAN.
 * @throws {StepFailed} with both reasons, if neither source has it; (work) if the LAN peer has another file.
 */
export const fetchFile = async (
  run: Run,
  wanted: Wanted,
  {
    peer,
    remote,
    stallSeconds,
    signal,
  }: { peer: Peer; remote: string; stallSeconds: number; signal: AbortSignal },
): Promise<Transfer[]> => {
  if (await hasContent(wanted.local, wanted.sha256))
    return [{ path: 'here', bytes: 0, seconds: 0, complete: true }];
  const transfers = await download(run, wanted, stallSeconds);
  if (transfers.at(-1)?.complete) return transfers;
  try {
    const lan = await connect(peer, signal);
    try {
      return [...transfers, await lanCopy(lan, remote, wanted)];
    } finally {
      lan.close();
    }
  } catch (thrown) {
    const error = asStepFailed(thrown);
    if (!(error instanceof StepFailed)) throw error;
    const why = transfers.at(-1)?.why ?? 'not tried';
    throw new StepFailed(error.fault, `${wanted.url}: ${why}. Then the LAN copy: ${error.message}`, {
      cause: error,
    });
  }
};
