import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuilderConfig } from '../../../schemas/config.ts';

/** What makepkg has answered in this agent's lifetime. A config is read only once, so its object can be the key. */
const answers = new WeakMap<BuilderConfig, Map<string, string>>();
const keptAtMost = 64;

/** A hash of everything in a folder: names, modes, bytes, the targets of links. */
const folderHash = async (folder: string): Promise<string> => {
  const digest = createHash('sha256');
  for (const name of (await readdir(folder, { recursive: true })).sort()) {
    const path = join(folder, name);
    const stat = await lstat(path);
    digest.update(`${name}\0${stat.mode}\0`);
    if (stat.isFile()) digest.update(await readFile(path));
    else if (stat.isSymbolicLink()) digest.update(await readlink(path));
    digest.update('\0');
  }
  return digest.digest('hex');
};

/**
 * Asks makepkg about a folder, unless the same was asked about the same bytes before. makepkg takes seconds to describe
 * a PKGBUILD, and preflight, land and build ask about the same one. A failure is not kept.
 */
export const askOnce = async (
  config: BuilderConfig,
  question: string,
  folder: string,
  ask: () => Promise<string>,
): Promise<string> => {
  const key = `${question} ${await folderHash(folder)}`;
  const known = answers.get(config) ?? new Map<string, string>();
  answers.set(config, known);
  const before = known.get(key);
  if (before !== undefined) return before;
  const answer = await ask();
  const [oldest] = known.keys();
  if (known.size >= keptAtMost && oldest !== undefined) known.delete(oldest);
  known.set(key, answer);
  return answer;
};
