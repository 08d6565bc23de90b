import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { download } from '../../agents/board/download.ts';
import { cachedPackage } from '../../agents/board/pacman/cached-package.ts';
import { createPacman } from '../../agents/board/pacman/pacman.ts';
import { names } from '../../agents/board/testing/test-packages.ts';
import { startUpgradableBoard } from '../../agents/board/testing/upgradable-board.ts';
import { differencesOnMirror } from '../../agents/publisher/mirror.ts';
import { createRun } from '../../host/run.ts';
import { testFolder } from '../ka.ts';
import { attack } from './attack.ts';

const run = createRun(() => undefined);
/** The mirror would send this much. */
const bodyBytes = 256 * 1024 * 1024;
/** What a socket and its pipe hold besides what has been counted. */
const underWayBytes = 16 * 1024 * 1024;

/** A server that answers everything without a Content-Length, and never ends by itself. */
const startMirror = async () => {
  let sentBytes = 0;
  const piece = Buffer.alloc(256 * 1024, 7);
  const server = createServer((_, response) => {
    response.on('error', () => undefined);
    const send = () => {
      while (sentBytes < bodyBytes && !response.destroyed) {
        sentBytes += piece.length;
        if (!response.write(piece)) return void response.once('drain', send);
      }
      response.end();
    };
    send();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** How much was sent since the last call. */
    sentBytes: () => {
      const sent = sentBytes;
      sentBytes = 0;
      return sent;
    },
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
};

const largestIn = (folder: string) =>
  Math.max(0, ...readdirSync(folder).map((name) => statSync(join(folder, name)).size));

describe('a mirror whose bodies never end', () => {
  let mirror: Awaited<ReturnType<typeof startMirror>>;
  let place: Awaited<ReturnType<typeof testFolder>>;
  beforeAll(async () => {
    place = await testFolder('attack-download');
    mirror = await startMirror();
  });
  afterAll(async () => {
    mirror?.stop();
    await place?.remove();
  });
  const sha256 = createHash('sha256').update('the package').digest('hex');

  attack('download-without-end', 'of a package, the board takes no more than its size', async () => {
    const wanted = { url: `${mirror.url}/p`, local: join(place.folder, 'p'), sha256, sizeBytes: 100_000 };
    const transfers = await download(run, wanted, 5);
    expect(transfers.at(-1)).toMatchObject({
      complete: false,
      why: expect.stringContaining('more than was expected'),
    });
    expect(transfers.every(({ bytes }) => bytes <= 100_000)).toBe(true);
    expect(largestIn(place.folder)).toBeLessThanOrEqual(100_000);
    expect(mirror.sentBytes()).toBeLessThan(transfers.length * underWayBytes);
  });

  attack('download-without-end', 'of a signature, the board takes 64 KiB', async () => {
    const transfers = await download(
      run,
      { url: `${mirror.url}/s`, local: join(place.folder, 's'), sha256 },
      5,
    );
    expect(transfers.every(({ bytes }) => bytes <= 65_536)).toBe(true);
    expect(largestIn(place.folder)).toBeLessThanOrEqual(100_000);
    expect(mirror.sentBytes()).toBeLessThan(transfers.length * underWayBytes);
  });

  attack('download-without-end', 'the publisher that fetches back reads no more than it served', async () => {
    const served = { url: `${mirror.url}/`, destination: place.folder };
    const [difference] = await differencesOnMirror(served, [{ file: 'p', sha256, sizeBytes: 100_000 }]);
    expect(difference?.found).toBe('more than 100000 bytes');
    expect(mirror.sentBytes()).toBeLessThan(underWayBytes);
  });

  attack('download-without-end', 'the signature for a backup is no longer than a signature', async () => {
    const board = await startUpgradableBoard();
    try {
      const [first = ''] = board.first;
      const cached = join(board.host.pacman.cacheFolder, first.slice(first.lastIndexOf('/') + 1));
      await rm(`${cached}.sig`);
      const folder = join(place.folder, 'fetched');
      const host = { ...board.host, repositoryUrl: mirror.url };
      const [name = ''] = names;
      const entry = await createPacman(host, run).installed(name);
      if (!entry) throw new Error(`${name} is not installed`);
      await expect(cachedPackage(run, host, { name, entry, folder })).rejects.toThrow(
        /doesn't give it \(.*more than 65536 bytes/,
      );
      expect(largestIn(folder)).toBeLessThanOrEqual(65_536);
    } finally {
      await board.stop();
    }
  });
});
