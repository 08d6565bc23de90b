import { hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import type { Run } from '../../../host/run.ts';
import type { PlacedFile } from './place-file.ts';

/** The part of pacman's configuration that enrolment writes: the fleet's repository. */
const PacmanSection = z.object({ name: z.string(), text: z.string() });
/** Where that part belongs; without a section the fleet's repository is left out. */
export const PacmanRepository = z.object({ configFile: z.string(), section: PacmanSection.nullable() });
type PacmanRepository = z.infer<typeof PacmanRepository>;

const begin = '# Begin of what ka enrol writes.';
const end = '# End of what ka enrol writes.';

/** A text without the part that enrolment has written. */
const withoutSection = (text: string): string => {
  const lines = text.split('\n');
  const from = lines.indexOf(begin);
  const to = lines.indexOf(end, from);
  return from < 0 || to < 0 ? text : lines.toSpliced(from, to - from + 1).join('\n');
};

const repositoriesOf = async (run: Run, file: string): Promise<string[]> =>
  (await run(['pacman-conf', '--config', file, '--repo-list'], { quiet: true })).stdout.split('\n');

/**
 * pacman's configuration as it should be; undefined if it is so already. A repository of that name that a person has put
 * there stays as it is; what an earlier enrolment wrote goes if the repository is left out now.
 */
export const wantedPacmanConfig = async (
  run: Run,
  { configFile: path, section }: PacmanRepository,
): Promise<{ file: PlacedFile; bytes: Buffer } | undefined> => {
  if (!existsSync(path)) return undefined;
  const text = await readFile(path, 'utf8');
  const rest = withoutSection(text);
  const isOurs = rest !== text;
  const isThere = section !== null && !isOurs && (await repositoriesOf(run, path)).includes(section.name);
  const own = section === null || isThere ? '' : `${begin}\n${section.text}${end}\n`;
  const wanted = `${rest}${own === '' || rest === '' || rest.endsWith('\n') ? '' : '\n'}${own}`;
  if (wanted === text) return undefined;
  const bytes = Buffer.from(wanted);
  const { mode, uid, gid } = await stat(path);
  const file = { path, mode: mode & 0o777, owner: { uid, gid }, sha256: hash('sha256', bytes, 'hex') };
  return { file, bytes };
};
