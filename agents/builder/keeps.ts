import { join } from 'node:path';
import { isThere } from '../../host/is-there.ts';
import type { Run } from '../../host/run.ts';
import type { BuilderConfig } from '../../schemas/config.ts';
import { attemptIn } from '../runtime/disks/attempt-in.ts';
import type { Keeping, KeepingTools } from '../runtime/disks/kept.ts';
import { lastChange } from '../runtime/disks/last-change.ts';
import { namesIn, removeFolder } from '../runtime/disks/remove-folder.ts';
import { confinementOf } from './makepkg/confinement.ts';
import { usedSources } from './makepkg/used-sources.ts';
import { worktreeMarks } from './makepkg/worktree.ts';

/** Packages that wait for the publisher: those of an iteration that goes on may not be fetched yet, or be asked for again. */
const offers = (run: Run, { offeredFolder, keep }: BuilderConfig): Keeping => ({
  kind: 'offers',
  limit: keep.offers,
  async list({ isOpen }) {
    const found = [];
    for (const name of await namesIn(run, offeredFolder)) {
      const attempt = attemptIn(name);
      if (!attempt) continue; // half-made, or somebody else's
      const path = join(offeredFolder, name);
      found.push({
        name,
        at: await lastChange(path),
        isNeeded: isOpen(attempt.iteration),
        size: { paths: [path] },
        remove: () => removeFolder(run, offeredFolder, name),
      });
    }
    return found;
  },
});

/** A worktree makes a build fast, and no build needs it. What is not called like a pkgbase is none. */
const trees = (run: Run, { makepkg: { worktreesFolder }, keep }: BuilderConfig): Keeping => ({
  kind: 'trees',
  limit: keep.trees,
  async list() {
    const found = [];
    for (const name of await namesIn(run, worktreesFolder)) {
      if (name.startsWith('.')) continue;
      const path = join(worktreesFolder, name);
      found.push({
        name,
        at: await lastChange(path, ...worktreeMarks(path)),
        isNeeded: false,
        size: { paths: [path] },
        remove: () => removeFolder(run, worktreesFolder, name),
      });
    }
    return found;
  },
});

const sources = (run: Run, config: BuilderConfig): Keeping => ({
  kind: 'sources',
  limit: config.keep.sources,
  async list({ isOpen }) {
    const { sourcesFolder } = config.makepkg;
    const used = await usedSources(config, isOpen);
    return (await namesIn(run, sourcesFolder)).flatMap((name) => {
      const use = used.get(name);
      if (!use) return [];
      const remove = () => removeFolder(run, sourcesFolder, name);
      return [{ name, ...use, size: { paths: [join(sourcesFolder, name)] }, remove }];
    });
  },
});

/** What ccache says that its cache takes; undefined where there is none. It runs as who builds: its config is in the cache. */
const ccacheBytes = async (run: Run, config: BuilderConfig, folder: string): Promise<number | undefined> => {
  const { wrap } = await confinementOf(config);
  const asked = wrap(['ccache', '--print-stats'], { readable: [], writable: [folder], network: false });
  const { stdout } = await run(asked, {
    env: { CCACHE_DIR: folder },
    quiet: true,
    exitCodes: Array.from({ length: 128 }, (_, code) => code),
  });
  const kibibytes = /^cache_size_kibibyte\t(\d+)$/m.exec(stdout)?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
};

/** ccache keeps to its limit itself: here it is only looked at. */
const ccache = (run: Run, config: BuilderConfig): Keeping => ({
  kind: 'ccache',
  limit: config.keep.ccache,
  async list() {
    const folder = config.makepkg.environment.CCACHE_DIR;
    if (folder === undefined || !(await isThere(folder))) return undefined;
    const bytes = await ccacheBytes(run, config, folder);
    if (bytes === undefined) return undefined;
    return [{ name: folder, at: 0, isNeeded: true, size: { bytes }, remove: async () => undefined }];
  },
});

/** What grows on a builder with each iteration. Its copies of repositories are as large as the repositories are. */
export const builderKeeps = (config: BuilderConfig, { run }: Pick<KeepingTools, 'run'>): Keeping[] => [
  offers(run, config),
  trees(run, config),
  sources(run, config),
  ccache(run, config),
];
