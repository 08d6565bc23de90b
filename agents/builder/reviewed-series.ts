import { constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256 } from '../../schemas/hash.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import { StepFailed } from '../runtime/errors.ts';
import { patchsetHash } from './series/series.ts';

/** A plain file's text. A link in the repository may lead anywhere, so it counts as missing. */
const textOf = (folder: string, name: string): Promise<string | undefined> =>
  readFile(join(folder, name), {
    encoding: 'utf8',
    flag: constants.O_RDONLY | constants.O_NOFOLLOW,
  }).catch(() => undefined);

/**
 * Checks that the package's folder holds exactly the reviewed patches, byte for byte, so that the attestation is about
 * what is really here.
 * @returns the files that a build of it rests on.
 * @param exported the package's folder at the commit.
 * @throws {StepFailed} (work) if a patch is missing, or they are a different patch stack.
 */
export const requireReviewed = async (
  exported: string,
  { commit, package: { folder }, source }: StepRequest<'build'>,
): Promise<{ name: string; sha256: string }[]> => {
  const files: { name: string; text: string }[] = [];
  for (const name of source.patches) {
    const text = await textOf(exported, name);
    if (text === undefined)
      throw new StepFailed('work', `no ${folder}/${name} at ${commit}; expected the reviewed series there`);
    files.push({ name, text });
  }
  const patchset = patchsetHash(files);
  if (patchset !== source.patchset)
    throw new StepFailed(
      'work',
      `${folder} at ${commit} holds the series ${patchset}; expected the reviewed one, ${source.patchset}`,
    );
  for (const name of ['PKGBUILD', 'config']) {
    const text = await textOf(exported, name);
    if (text !== undefined) files.push({ name, text });
  }
  return files.map(({ name, text }) => ({ name, sha256: sha256(text) }));
};
