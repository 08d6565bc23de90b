import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StepEvidence } from '../../schemas/steps.ts';
import { StepFailed } from '../runtime/errors.ts';
import type { Git } from './git/git.ts';
import type { RehearsedBump } from './package-bump.ts';
import { predictRelease } from './pkgbuild/kernel-release.ts';
import { PkgbuildError } from './pkgbuild/pkgbuild-error.ts';
import { srcinfoValue } from './pkgbuild/srcinfo.ts';

/** `config`, `config.aarch64`, `config.fragment`, `fresnel.config`, but not one that names another architecture. */
const isConfig = (file: string, carch: string): boolean =>
  /(^|[._-])(def)?config([._-]|$)/.test(file) &&
  (/aarch64|x86_64|armv7h|riscv64/.exec(file)?.[0] ?? carch) === carch;

/** The configs beside a PKGBUILD in a row, so that the last one to set an option counts; null if there are none. */
const configText = async (
  folder: string,
  sources: readonly string[],
  carch: string,
): Promise<string | null> => {
  const texts: string[] = [];
  for (const file of sources.filter((source) => !source.includes('/') && isConfig(source, carch)))
    texts.push(await readFile(join(folder, file), 'utf8').catch(() => ''));
  return texts.length > 0 ? texts.join('\n') : null;
};

/**
 * Predicts what `uname -r` will print with a bumped package, built from a tree.
 * @throws {StepFailed} (work) if the text can't tell.
 */
export const rehearseRelease = async (
  git: Git,
  { path, tree }: { path: string; tree: string },
  { folder, pkgbuild, srcinfo }: Pick<RehearsedBump, 'folder' | 'pkgbuild' | 'srcinfo'>,
  carch: string,
): Promise<StepEvidence<'preflight'>['release']> => {
  const makefile = await git.text(path, tree, 'Makefile');
  if (makefile === undefined)
    throw new StepFailed('work', 'the baseline has no Makefile: it is not a kernel tree');
  try {
    return predictRelease({
      makefile,
      pkgbuild,
      pkgbase: srcinfo.base.name,
      pkgver: srcinfoValue(srcinfo, 'pkgver') ?? '',
      pkgrel: srcinfoValue(srcinfo, 'pkgrel') ?? '',
      config: await configText(folder, srcinfo.base.values.get('source') ?? [], carch),
    });
  } catch (error) {
    if (!(error instanceof PkgbuildError)) throw error;
    throw new StepFailed('work', `the kernel's release can't be predicted: ${error.message}`, {
      cause: error,
    });
  }
};
