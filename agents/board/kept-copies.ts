import { basename, join } from 'node:path';
import { z } from 'zod';
import { readDurable, writeDurably } from '../../host/durable-file.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import type { Keeping } from '../runtime/disks/kept.ts';
import { archivesOf, isArchive } from './kept-archives.ts';
import { atPeer, peerNamed } from './peer-named.ts';

/** A copy of a backup: its path below this board's folder on the backup host. */
const Copy = z.object({ path: z.string(), sizeBytes: z.number(), mtimeMs: z.number() });
type Copy = z.infer<typeof Copy>;

const seenFile = ({ stateFolder }: BoardConfig): string => join(stateFolder, 'copies.json');

/**
 * The copies on the backup host: the board has put them there, and nobody else looks after them. They are looked at when a
 * backup has ended, since that host can be reached then; at other times this is what was seen last. What this board holds
 * itself stays there as well, and so does the last one, which is all there is of a board whose disk was lost.
 */
export const keptCopies = (host: BoardConfig, signal: AbortSignal): Keeping => ({
  kind: 'copies',
  limit: host.keep.copies,
  async list({ requestOf }, after) {
    const asked = after?.step === 'backup' ? (requestOf(after) as StepRequest<'backup'>) : undefined;
    const kept = ({ path, sizeBytes, mtimeMs }: Copy) => ({
      name: basename(path),
      at: mtimeMs,
      isNeeded: true,
      size: { bytes: sizeBytes },
      remove: async () => undefined,
    });
    if (!asked) return (await readDurable(seenFile(host), z.array(Copy)).catch(() => undefined))?.map(kept);

    const peer = peerNamed(host, asked.host);
    const here = new Set((await archivesOf(host)).map(({ path, version }) => `${version}/${basename(path)}`));
    const there = await atPeer(peer, (connection) => connection.list(host.host), signal);
    let copies = there.filter(({ path }) => isArchive(path)).toSorted((a, b) => b.mtimeMs - a.mtimeMs);
    const last = copies[0];
    const remember = () => writeDurably(seenFile(host), copies satisfies Copy[]);
    await remember();
    return copies.map((copy) => ({
      ...kept(copy),
      isNeeded: copy === last || here.has(copy.path),
      async remove() {
        await atPeer(
          peer,
          async (connection) => {
            for (const file of [copy.path, `${copy.path}.json`])
              await connection.remove(`${host.host}/${file}`);
          },
          signal,
        );
        copies = copies.filter((one) => one !== copy);
        await remember();
      },
    }));
  },
});
