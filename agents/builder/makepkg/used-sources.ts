import { join } from 'node:path';
import { z } from 'zod';
import { readDurable, writeDurably } from '../../../host/durable-file.ts';
import type { BuilderConfig } from '../../../schemas/config.ts';

/** That an iteration's build of a pkgbase has used what makepkg had fetched. */
const Use = z.object({
  iteration: z.string(),
  base: z.string(),
  at: z.number(),
  /** Their names in the sources' folder. They are a PKGBUILD's word: look for them there, and make no path of them. */
  files: z.array(z.string()),
});
type Use = z.infer<typeof Use>;
const Uses = z.object({ uses: z.array(Use) });

type Host = Pick<BuilderConfig, 'stateFolder'>;
const fileOf = ({ stateFolder }: Host): string => join(stateFolder, 'sources.json');

/** Enough for the iterations that go on; an older use is remembered while it is the last of a file. */
const remembered = 100;
/** The builds of a pkgbase whose sources stay: the last, and the one before, for a package of the former content. */
const lastBuilds = 2;

/** The uses of what was fetched, the newest first. */
const readUses = async (host: Host): Promise<Use[]> => (await readDurable(fileOf(host), Uses))?.uses ?? [];

/** Remembers a use: only what was fetched for a build of this host's is ever removed, and not what a person put there. */
export const noteSources = async (host: Host, used: Omit<Use, 'at'>): Promise<void> => {
  if (used.files.length === 0) return;
  // One that is damaged is begun again: what it knew of stays for ever, and no build waits for a person.
  const others = (await readUses(host).catch(() => [])).filter(
    ({ iteration, base }) => iteration !== used.iteration || base !== used.base,
  );
  const known = new Set<string>();
  const uses = [{ ...used, at: Date.now() }, ...others].filter(({ files }, index) => {
    const isLast = files.some((file) => !known.has(file));
    for (const file of files) known.add(file);
    return index < remembered || isLast;
  });
  await writeDurably(fileOf(host), { uses } satisfies z.infer<typeof Uses>);
};

/**
 * What was fetched, by its name: when it was used last, and whether it is needed, by an iteration that goes on or by one of
 * the last builds of its pkgbase.
 */
export const usedSources = async (
  host: Host,
  isOpen: (iteration: string) => boolean,
): Promise<Map<string, { at: number; isNeeded: boolean }>> => {
  const found = new Map<string, { at: number; isNeeded: boolean }>();
  const builds = new Map<string, number>();
  for (const { iteration, base, at, files } of await readUses(host)) {
    const newer = builds.get(base) ?? 0;
    builds.set(base, newer + 1);
    const isNeeded = newer < lastBuilds || isOpen(iteration);
    for (const file of files) {
      const known = found.get(file);
      found.set(file, { at: known?.at ?? at, isNeeded: isNeeded || known?.isNeeded === true });
    }
  }
  return found;
};
