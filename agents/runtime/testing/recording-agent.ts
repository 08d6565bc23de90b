import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { BuilderConfig } from '../../../schemas/config.ts';
import type { LogServer } from '../../../test/log-server.ts';
import { type RoleParts, runAgent } from '../agent.ts';
import type { StepContext } from '../step.ts';

/** The config of a builder that keeps everything in one folder. */
export const recordingConfig = (
  log: LogServer,
  {
    fleet,
    host,
    stateFolder = join(log.folder, host),
  }: { fleet: string; host: string; stateFolder?: string },
): BuilderConfig => {
  mkdirSync(stateFolder, { recursive: true });
  for (const [name, text] of [
    ['boot', 'boot-1'],
    ['release', '7.0.0'],
  ] as const)
    writeFileSync(join(stateFolder, name), text);
  return BuilderConfig.parse({
    role: 'builder',
    fleet,
    host,
    nats: { servers: [log.server.url] },
    keyFile: log.keyFile(host),
    trustFile: log.trustFile,
    stateFolder,
    bootIdFile: join(stateFolder, 'boot'),
    releaseFile: join(stateFolder, 'release'),
    repositories: {},
    git: { author: { name: 'A', email: 'a@example.org' } },
    makepkg: { carch: 'aarch64', sourcesFolder: '/s', worktreesFolder: '/w', packager: 'A <a@example.org>' },
    offeredFolder: '/o',
  });
};

const sha1 = 'a'.repeat(40);
/** The step's request, and its evidence. */
export const recordRequest = {
  replacements: [],
  repository: 'campaign',
  branch: 'main',
  title: 'Close',
  files: [{ path: 'close.md', content: { as: 'note', facts: '0'.repeat(64), text: 'closed' } }],
};
export const recordEvidence = {
  commit: {
    repository: 'campaign',
    branch: 'main',
    parent: sha1,
    commit: sha1,
    files: [{ path: 'close.md', sha256: 'a'.repeat(64) }],
  },
};

/**
 * A builder whose one step has one effect: a line in the file `world.<iteration>.<attempt>` of `world`, which is the
 * agent's own folder by default. `during` runs inside the effect, after the line is written.
 */
export const recorder = (
  during: (context: StepContext<BuilderConfig, 'commit'>) => Promise<unknown> = async () => undefined,
  world?: string,
): RoleParts<BuilderConfig> => ({
  steps: {
    record: async (_request: unknown, context: StepContext<BuilderConfig, 'commit'>) => {
      const { effect, host, key } = context;
      const file = join(world ?? host.stateFolder, `world.${key}`);
      await effect('commit', {
        probe: () => (existsSync(file) ? { happened: 'yes', result: null } : { happened: 'no' }),
        act: async () => {
          writeFileSync(file, 'line\n', { flag: 'a' });
          await during(context);
          return null;
        },
      });
      return recordEvidence;
    },
  },
});

/** Runs an agent in this process. It ends with the test, whatever the result. */
export const startAgent = (config: BuilderConfig, parts: RoleParts<BuilderConfig> = recorder()) => {
  const controller = new AbortController();
  const ended = runAgent(config, parts, { version: '1' }, controller.signal);
  ended.catch(() => undefined); // the test awaits it later
  onTestFinished(async () => {
    controller.abort();
    await ended.catch(() => undefined);
  });
  return {
    ended,
    stop: async () => {
      controller.abort();
      await ended;
    },
  };
};
