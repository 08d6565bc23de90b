import { mkdir, mkdtemp, readdir, rm, symlink, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createRun } from '../../host/run.ts';
import { PublisherConfig } from '../../schemas/config.ts';
import type { HostIterations } from '../runtime/disks/host-iterations.ts';
import { overLimit } from '../runtime/disks/over-limit.ts';
import { publisherKeeps } from './keeps.ts';

let folder: string;
let config: PublisherConfig;
const views = () => join(folder, 'views');
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ka-publisher-keeps-'));
  config = PublisherConfig.parse({
    ...{ fleet: 'test', host: 'hertz', role: 'publisher', nats: { servers: ['127.0.0.1'] }, peers: {} },
    ...{ keyFile: '/key', trustFile: '/trust.json', stateFolder: folder },
    signing: { gnupgHome: '/gnupg', fingerprint: 'A'.repeat(40), keyring: '/keyring' },
    repository: { name: 'fleet', folder },
  });
  for (const [index, name] of ['baseline', 'a.1', 'b.1', 'c.1', 'd.1', 'e.1'].entries()) {
    await mkdir(join(views(), name), { recursive: true });
    await utimes(join(views(), name), index, index);
  }
  await symlink('views/e.1', join(folder, 'current'));
});
afterEach(() => rm(folder, { recursive: true }));

const clean = async (iterations: Partial<HostIterations>) => {
  const [keeping] = publisherKeeps(config, { run: createRun(() => undefined) });
  const none: HostIterations = {
    isOpen: () => false,
    openAttempts: () => [],
    effect: () => undefined,
    requestOf: () => undefined,
  };
  const kept = (await keeping?.list({ ...none, ...iterations }, undefined)) ?? [];
  for (const one of overLimit(kept, { number: 0 }, { now: Date.now(), sizeOf: () => 0 })) await one.remove();
  return (await readdir(views())).sort();
};

it('keeps the view that is served, and the one before', async () => {
  expect(await clean({})).toEqual(['d.1', 'e.1']);
});

it('keeps the view of an iteration that goes on, and the one that was served before it', async () => {
  const left = await clean({
    isOpen: (iteration) => iteration === 'b',
    effect: ({ iteration }, name) =>
      iteration === 'b' && name === 'view' ? { before: { base: 'baseline' }, result: null } : undefined,
  });
  expect(left).toEqual(['b.1', 'baseline', 'd.1', 'e.1']);
});
