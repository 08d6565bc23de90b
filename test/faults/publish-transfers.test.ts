import { readdirSync, statSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, onTestFinished } from 'vitest';
import { planVariant } from '../plan-variant.ts';
import type { TestFleet } from '../test-fleet.ts';
import { startFailpointFleet } from './failpoint-fleet.ts';
import type { Failpoints } from './failpoints.ts';
import { faultRow } from './fault-row.ts';
import { iterationUnderWay } from './iteration-under-way.ts';
import { portsOf, speakThrough, waitUntil } from './sandbox-faults.ts';
import { startProxy, type TcpProxy } from './tcp-proxy.ts';

const headers = 'linux-fresnel-fourier-headers';
/** Enlarges a package of a few kilobytes so that it takes several SSH requests. */
const ballastBytes = 3_000_000;

describe('a transfer that is cut, or altered on its way', () => {
  let fleet: TestFleet;
  let points: Failpoints;
  let builders: TcpProxy;
  let files: TcpProxy;
  let iter5: ReturnType<typeof iterationUnderWay>;

  beforeAll(async () => {
    ({ fleet, points } = await startFailpointFleet('fault-transfer'));
    const ports = await portsOf(fleet);
    builders = await startProxy(ports.ssh('boltzmann'));
    files = await startProxy(ports.files);
    await speakThrough(fleet, 'hertz', builders);
    await speakThrough(fleet, 'fresnel', files);
    await addBallast();
    iter5 = iterationUnderWay(fleet, await planVariant(fleet.folder, { iteration: 'iter5' }), 'iter5');
  });
  afterAll(async () => {
    await fleet?.remove();
    await Promise.all([builders?.close(), files?.close()]);
  });

  const addBallast = async () => {
    const clone = join(fleet.folder, 'marfrit-packages');
    await execa('git', ['clone', '-q', fleet.places.repository('marfrit-packages'), clone]);
    const pkgbuild = join(clone, 'arch/linux-fresnel-fourier/PKGBUILD');
    const text = await readFile(pkgbuild, 'utf8');
    const line = '  install -Dm644 -t "$builddir" Makefile';
    const more = `  install -d "$builddir"\n  head -c ${ballastBytes} /dev/urandom >"$builddir/ballast"\n`;
    expect(text).toContain(line);
    await writeFile(pkgbuild, text.replace(line, `${more}${line}`));
    const author = ['-c', 'user.name=x', '-c', 'user.email=x@example.org'];
    await execa('git', [...author, 'commit', '-qam', 'ballast'], { cwd: clone });
    await execa('git', ['push', '-q', 'origin', 'HEAD:main'], { cwd: clone });
  };

  /** Records each file name that hertz uses in an attempt, and whether a `.part` ever becomes smaller. */
  const watchFetch = (attempt: number) => {
    const folder = join(fleet.places.host('hertz'), 'state/work', `publish.iter5.${attempt}`);
    const names = new Set<string>();
    let partBytes = 0;
    let shrunk = false;
    const look = () => {
      try {
        for (const name of readdirSync(folder)) names.add(name);
        const part = readdirSync(folder).find(
          (name) => name.startsWith(headers) && name.endsWith('.zst.part'),
        );
        const { size } = part ? statSync(join(folder, part)) : { size: partBytes };
        shrunk ||= size < partBytes;
        partBytes = size;
      } catch {
        // It does not exist yet, or was just renamed.
      }
    };
    const timer = setInterval(look, 2);
    onTestFinished(() => clearInterval(timer));
    return {
      packages: () => [...names].filter((name) => name.endsWith('.pkg.tar.zst')),
      partBytes: () => partBytes,
      stop: () => {
        clearInterval(timer);
        return { shrunk };
      },
    };
  };

  faultRow(
    'transfer-damaged',
    'a byte altered where it is offered: refused by its hash, and never under its name',
    async () => {
      await points.arm('hertz', 'publish trial result');
      await iter5.start();
      await iter5.approve();
      const { packages } = await iter5.evidence('build');
      const offered = packages.find(({ name }) => name === headers);
      const file = join(fleet.places.offered('boltzmann'), 'iter5.1', offered?.file ?? '');
      const good = await readFile(file);
      const reached = await points.waitReached({ host: 'hertz' });
      const bad = Buffer.from(good);
      bad.writeUInt8(bad.readUInt8(1_000_000) ^ 1, 1_000_000);
      await writeFile(file, bad);
      const before = (await fleet.world()).served;
      const watch = watchFetch(1);
      await points.kill(reached, 'alone');

      expect(await iter5.failure()).toMatch(
        new RegExp(
          `publish on hertz: ${file} on .* has the sha256 \\w{64} and ${offered?.sha256} was expected: it was altered`,
        ),
      );
      watch.stop();
      expect(watch.packages()).not.toContain(offered?.file);
      expect((await fleet.world()).served).toEqual(before);
      await writeFile(file, good);
    },
  );

  faultRow(
    'transfer-damaged',
    'SSH cut, then a byte flipped on the line: the copy goes on where it was, and publishes',
    async () => {
      builders.set({ does: 'cut', afterBytes: 1_500_000, connections: 1 });
      await points.arm('fresnel', 'stage package result'); // for the next row
      files.set({ does: 'flip', afterBytes: 2_000 });
      const watch = watchFetch(2);
      const before = builders.damaged;
      await iter5.retry();
      await waitUntil('the connection is cut', () => builders.damaged === before + 1);
      builders.set({ does: 'flip', afterBytes: 400_000, connections: 1 });
      await sleep(100);
      const atCut = watch.partBytes();
      expect(atCut).toBeGreaterThan(500_000);
      expect(watch.packages()).not.toContain(expect.stringContaining(headers));
      await waitUntil('a byte is flipped', () => builders.damaged === before + 2);
      const { packages } = await iter5.evidence('publish');
      expect(watch.stop().shrunk).toBe(false);
      expect(packages).toHaveLength(2);
      const { packages: built } = await iter5.evidence('build');
      expect(packages.map(({ sha256 }) => sha256)).toEqual(built.map(({ sha256 }) => sha256));
      expect((await fleet.types('iter5')).filter((type) => type === 'PublishFailed')).toHaveLength(1); // the row before
    },
  );

  faultRow(
    'transfer-damaged',
    'HTTP with a byte flipped: refused by its hash, then over the LAN; cut: resumed',
    async () => {
      const reached = await points.waitReached({ host: 'fresnel', name: 'stage package result' });
      files.set({ does: 'cut', afterBytes: 1_200_000 });
      await points.kill(reached, 'alone');
      const { packages } = await iter5.evidence('stage');
      const ways = packages.map(({ transfers }) => transfers.map(({ path, complete }) => [path, complete]));
      expect(ways).toEqual([
        [
          ['repository', false],
          ['lan', true],
        ],
        [
          ['repository', false],
          ['repository', false],
          ['repository', true],
        ],
      ]);
      expect(packages[0]?.transfers[0]?.why).toMatch(/ has the sha256 \w{64} and \w{64} was expected$/);
      expect(packages[1]?.transfers[0]?.why).toMatch(/^the connection ended early after \d+ of \d+ bytes/);
      expect(packages[1]?.transfers.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(packages[1]?.sizeBytes);
      await iter5.event('IterationClosed');
      await rm(join(fleet.folder, 'marfrit-packages'), { recursive: true });
    },
  );
});
