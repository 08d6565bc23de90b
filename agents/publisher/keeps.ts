import { join } from 'node:path';
import type { Run } from '../../host/run.ts';
import type { PublisherConfig } from '../../schemas/config.ts';
import { attemptIn } from '../runtime/disks/attempt-in.ts';
import type { HostIterations } from '../runtime/disks/host-iterations.ts';
import type { Keeping, KeepingTools } from '../runtime/disks/kept.ts';
import { lastChange } from '../runtime/disks/last-change.ts';
import { namesIn, removeFolder } from '../runtime/disks/remove-folder.ts';
import { currentView, viewsFolder } from './repository-view.ts';

/** What was served when an attempt's view was made: what its withdrawal goes back to. */
const baseOf = ({ effect }: HostIterations, name: string): string | undefined => {
  const attempt = attemptIn(name);
  const view = attempt && effect({ ...attempt, step: 'publish' }, 'view');
  const base = (view?.before as { base?: unknown } | null | undefined)?.base;
  return typeof base === 'string' ? base : undefined;
};

/**
 * The repository's views. Needed are the one that is served and the one before it; and of each iteration that goes on its own
 * view, from which boards still copy, and the one that was served before.
 */
const views = (run: Run, config: PublisherConfig): Keeping => ({
  kind: 'views',
  limit: config.keep.views,
  async list(iterations) {
    const folder = viewsFolder(config);
    const names = (await namesIn(run, folder)).filter((name) => !name.startsWith('.'));
    const current = await currentView(config);
    const ofOpen = names.filter((name) => iterations.isOpen(attemptIn(name)?.iteration ?? ''));
    const times = new Map<string, number>();
    for (const name of names) times.set(name, await lastChange(join(folder, name)));
    const at = (name: string) => times.get(name) ?? 0;
    const before = names
      .filter((name) => name !== current && at(name) <= at(current ?? ''))
      .toSorted((a, b) => at(b) - at(a))[0];
    const bases = [...ofOpen, ...(current === undefined ? [] : [current])].map((name) =>
      baseOf(iterations, name),
    );
    const needed = new Set([current, before, ...ofOpen, ...bases]);
    return names.map((name) => ({
      name,
      at: at(name),
      isNeeded: needed.has(name),
      size: { paths: [join(folder, name)] },
      remove: () => removeFolder(run, folder, name),
    }));
  },
});

/** What grows on a publisher with each iteration. Old packages go when a view is made: see `old-packages.ts`. */
export const publisherKeeps = (config: PublisherConfig, { run }: Pick<KeepingTools, 'run'>): Keeping[] => [
  views(run, config),
];
