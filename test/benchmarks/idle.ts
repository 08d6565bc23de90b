import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { exampleSigningKey } from '../../coordinator/testing/example-plan.ts';
import type { LogServer } from '../log-server.ts';
import type { Benchmark, Scale } from './benchmark.ts';
import { askInVain, type Daemon, processorSecondsOf, startCoordinator, startDaemon } from './daemons.ts';
import { startLongLog } from './long-log.ts';

/** A board whose system is an empty folder: enough for an agent that has nothing to do. */
const boardConfig = (server: LogServer, host: string): object => {
  const root = join(server.folder, host);
  mkdirSync(root, { recursive: true });
  const [bootIdFile, releaseFile] = [join(root, 'boot-id'), join(root, 'release')];
  writeFileSync(bootIdFile, 'boot-1');
  writeFileSync(releaseFile, '7.0.0');
  return {
    ...{ role: 'board', fleet: server.trust.fleet, host, nats: { servers: [server.server.url] } },
    ...{ keyFile: server.keyFile(host), trustFile: server.trustFile, stateFolder: root },
    ...{ bootIdFile, releaseFile, peers: {}, root, packages: ['linux-fourier'] },
    pacman: {
      command: ['true'],
      ...{ configFile: '/dev/null', localConfigFile: '/dev/null', cacheFolder: root },
      ...{ logFile: '/dev/null', databaseFolder: root },
    },
    boot: {
      ...{ image: '/boot/Image', initramfs: '/boot/initramfs.img', keep: [] },
      ...{ initramfsCommand: ['true'], rebootCommand: ['true'] },
    },
    repositoryUrl: 'http://127.0.0.1:1/',
    signing: { fingerprint: exampleSigningKey, keyring: '/dev/null' },
    sweep: { command: ['true'], fixturesFolder: root },
  };
};

/** How much of a core a daemon uses in that time, in percent. */
const useOf = async ({ pid }: Daemon, seconds: number): Promise<number> => {
  const before = processorSecondsOf(pid);
  const started = performance.now();
  await sleep(seconds * 1000);
  return ((processorSecondsOf(pid) - before) * 100_000) / (performance.now() - started);
};

/** How long a daemon may take to come to rest. */
const restsAfterMs = 5_000;

/** Measures a daemon of a fleet in which nothing happens. */
const idle =
  (which: 'coordinator' | 'agent') =>
  async ({ iterations, idleSeconds }: Scale) => {
    const server = await startLongLog(iterations.short);
    try {
      const answered = await askInVain(server, 'ask');
      const daemons = {
        coordinator: startCoordinator(server, join(server.folder, 'coordinator')),
        agent: startDaemon('agents/main.js', server, boardConfig(server, 'fresnel')),
      };
      await answered();
      if (idleSeconds > 1) await sleep(restsAfterMs);
      const ours = await useOf(daemons[which], idleSeconds);
      for (const daemon of Object.values(daemons)) await daemon.stop();
      return { ours, baseline: null };
    } finally {
      await server.stop();
    }
  };

export const idleDaemons: readonly Benchmark[] = (['agent', 'coordinator'] as const).map((which) => ({
  name: `idle ${which === 'agent' ? "board's agent" : which}`,
  unit: '% of a core',
  goal: { atMost: 0.1 },
  measure: idle(which),
}));
