import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { openSession } from '../coordinator/commands/session.ts';
import { startSandbox, stopSandbox } from '../deploy/local-fleet/start-stop.ts';
import { sandboxPlaces } from '../deploy/places/sandbox-places.ts';
import { eventStream, logManager } from '../eventlog/stream/provision.ts';
import type { LoggedEvent } from '../schemas/events.ts';
import { type KaRan, ka, testFolder } from './ka.ts';
import { rememberMakepkgInFleet } from './remembered-makepkg.ts';

const repositories = ['kernel', 'kernel-agent', 'marfrit-packages', 'campaign'] as const;
export const approver = 'sonnet-architect';

const hashOf = async (file: string) =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');

/** Path → hash of each file below a folder; for a link, its target. */
const filesBelow = async (folder: string): Promise<Record<string, string>> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = await Promise.all(
    entries
      .filter((entry) => !entry.isDirectory())
      .map(async (entry) => {
        const file = join(entry.parentPath, entry.name);
        const content = (await lstat(file)).isSymbolicLink()
          ? `-> ${await readlink(file)}`
          : await hashOf(file);
        return [relative(folder, file), content] as const;
      }),
  );
  return Object.fromEntries(files.sort(([a], [b]) => a.localeCompare(b)));
};

/**
 * Starts a sandbox fleet for one test. What its builders ask makepkg about a PKGBUILD is asked once per machine.
 * @param name part of its folder's name.
 * @param env added to the environment of everything that runs in it; a function gets the test's existing folder.
 */
export const startTestFleet = async (
  name: string,
  { env = {} }: { env?: Record<string, string> | ((folder: string) => Promise<Record<string, string>>) } = {},
) => {
  const { folder, remove } = await testFolder(name);
  const places = sandboxPlaces(join(folder, 'fleet'));
  const over = new AbortController();
  const running = new Set<Promise<KaRan>>();
  /** Runs a command, which ends with the fleet if the test no longer waits for it. */
  const runKa = (args: readonly string[], onLine?: (line: string) => void): Promise<KaRan> => {
    const ran = ka([...args, '--config', places.operatorConfig], {}, onLine, over.signal);
    running.add(ran);
    return ran.finally(() => running.delete(ran));
  };
  const onFleet = (...args: string[]): Promise<KaRan> => runKa(args);
  /** The board's state as its owner would see it. */
  const board = async () => ({
    installed: (await execa('pacman', ['-Q', '--config', places.board.pacmanConfig])).stdout.split('\n'),
    boot: await filesBelow(join(places.root, 'boot')),
    modules: await filesBelow(join(places.root, 'usr/lib/modules')),
    release: (await readFile(places.board.releaseFile, 'utf8')).trim(),
    version: (await readFile(places.board.versionFile, 'utf8')).trim(),
    bootId: (await readFile(places.board.bootIdFile, 'utf8')).trim(),
  });
  const { exitCode, stderr } = await ka(['up', '--dir', places.folder], {
    ...(await rememberMakepkgInFleet(join(folder, 'programs'))),
    ...(typeof env === 'function' ? await env(folder) : env),
  });
  if (exitCode !== 0) {
    await remove();
    throw new Error(`ka up ended with ${exitCode}: ${stderr}`);
  }
  // Read in this process: the tests are about the log's content, and each `ka log` takes a second.
  let session = await openSession(places.operatorConfig).catch(async (error: unknown) => {
    await ka(['down', '--dir', places.folder]);
    await remove();
    throw error;
  });
  // While nats-server is away, a request would be lost and time out, so this waits until it is back.
  const connected = async () => {
    for (let waitedMs = 0; ; waitedMs += 50) {
      const isThere = await session.connection.rtt().catch((error: unknown) => {
        if (waitedMs > 30_000) throw error;
      });
      if (isThere !== undefined) return;
      await sleep(50);
    }
  };
  let known: { at: string; events: readonly LoggedEvent[] } | undefined;
  /** The log's events, checked again only when the log has changed: a test that waits for one asks many times a second. */
  const readEvents = async (): Promise<readonly LoggedEvent[]> => {
    const at = await logManager(session.connection).then(
      async (manager) => {
        const { created, state } = await manager.streams.info(eventStream);
        return `${created} ${state.last_seq} ${state.last_ts}`;
      },
      () => undefined,
    );
    if (at !== undefined && at === known?.at) return known.events;
    const { events } = await session.read();
    known = at === undefined ? undefined : { at, events };
    return events;
  };
  const events = async (iteration?: string) => {
    await connected();
    return (await readEvents()).filter(
      ({ event }) => iteration === undefined || event.iteration === iteration,
    );
  };
  /** Approves a review that is asked for, again and again if the log is away at that moment, as a person does. */
  const approve = async (iteration: string) => {
    for (let tries = 1; ; tries += 1) {
      const { exitCode, stderr } = await onFleet('approve', iteration, '--as', approver, '-m', 'read it');
      // 2: it is refused. An approval whose answer was lost is in the log, and so the next one is refused.
      if (exitCode === 0 || (exitCode === 2 && tries > 1)) return;
      if (exitCode === 2 || tries === 30) throw new Error(`ka approve ended with ${exitCode}: ${stderr}`);
      await sleep(500);
    }
  };
  let closing: Promise<void> | undefined;
  const down = async () => {
    closing ??= session.close();
    await closing;
    return ka(['down', '--dir', places.folder]);
  };
  /** Stops the fleet, calls `between`, and starts the fleet again. */
  const restart = async (between: () => Promise<void>) => {
    await session.close();
    await stopSandbox(places.folder);
    await between();
    await startSandbox(places.folder);
    session = await openSession(places.operatorConfig);
  };
  return {
    /** A folder for plans. */
    folder,
    places,
    ka: onFleet,
    /** The log's events, or an iteration's, oldest first. */
    events,
    types: async (iteration?: string) => (await events(iteration)).map(({ event }) => event.type),
    lastSequence: () => session.log.lastSequence(),
    /** Starts an iteration and watches it to its end; the review is approved once it is asked for. */
    carry: async (planFile: string): Promise<KaRan> => {
      let approval: Promise<void> | undefined;
      const ran = await runKa(['iterate', planFile, '--watch'], (line) => {
        const iteration = /^\S+ (\S+) review waits for /.exec(line)?.[1];
        if (iteration === undefined) return;
        approval = approve(iteration);
        approval.catch(() => undefined); // it is awaited below
      });
      await approval;
      return ran;
    },
    approve,
    board,
    restart,
    /** Everything that an iteration changes on hosts: the repositories' heads, what hertz serves, the board. */
    world: async () => ({
      heads: Object.fromEntries(
        await Promise.all(
          repositories.map(async (repository) => [
            repository,
            (await execa('git', ['--git-dir', places.repository(repository), 'for-each-ref'])).stdout,
          ]),
        ),
      ),
      view: await readlink(join(places.packageRepository, 'current')),
      served: await filesBelow(join(places.packageRepository, 'current')),
      mirror: await filesBelow(places.mirror),
      backups: await filesBelow(places.shared),
      board: await board(),
    }),
    down,
    remove: async () => {
      over.abort();
      await Promise.allSettled(running);
      await down();
      await remove();
    },
  };
};
export type TestFleet = Awaited<ReturnType<typeof startTestFleet>>;
