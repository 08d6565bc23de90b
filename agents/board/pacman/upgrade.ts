import { StepFailed } from '../../runtime/errors.ts';
import type { PackageContent } from '../../runtime/package/package-file.ts';
import type { InstalledEntry, Pacman } from './pacman.ts';

/** Pacman's words when the packages themselves are at fault, whatever the host does. */
const packagesAtFault =
  /conflicting (files|dependencies)|exists in filesystem|could not satisfy dependencies/;

/** Whether all these packages are installed, all their files are there, and no transaction was cut before its end. */
export const holdsAll = async (pacman: Pacman, contents: readonly PackageContent[]): Promise<boolean> => {
  if (await pacman.isLocked()) return false;
  for (const content of contents) if (!(await pacman.holds(content))) return false;
  return true;
};

const intact = async (
  pacman: Pacman,
  before: ReadonlyMap<string, InstalledEntry | undefined>,
): Promise<boolean> => {
  for (const [name, entry] of before) {
    const now = await pacman.installed(name);
    if (!entry || now?.version !== entry.version || (await pacman.altered(now)).length > 0) return false;
  }
  return true;
};

/**
 * Installs package files in one transaction and checks whether they are then installed. What a killed pacman left is
 * cleared away first, so this may be run again after a cut anywhere.
 * @param overwrite Set if files of an interrupted transaction may be in the way.
 * @param acceptExpiredKey See {@link Pacman.upgrade}.
 * @throws {StepFailed} if pacman refused and the earlier packages are still there, complete.
 * @throws {Error} if it ended half-way: another run with `overwrite` repairs that.
 */
export const upgrade = async (
  note: (line: string) => void,
  pacman: Pacman,
  contents: readonly PackageContent[],
  options: { overwrite: boolean; acceptExpiredKey?: boolean },
): Promise<void> => {
  const names = contents.map(({ name }) => name);
  for (const cleared of await pacman.mend(names)) note(`a killed pacman had left ${cleared}; it is removed`);
  const before = new Map<string, InstalledEntry | undefined>();
  for (const name of names) before.set(name, await pacman.installed(name));

  const files = contents.map(({ file }) => file);
  const { exitCode, stderr } = await pacman.upgrade(files, options);
  if (await holdsAll(pacman, contents)) return;
  const said = stderr.trim().split('\n').slice(0, 3).join(' ') || `nothing, with exit code ${exitCode}`;
  // gpgv has found these signatures good and pacman has not, so the fault is this host's.
  if (/\(PGP signature\)/.test(stderr))
    throw new StepFailed(
      'host',
      `pacman does not accept the signature of ${names.join(', ')}: either the clock here is wrong (it says ${new Date().toISOString()}; set it, or put ignore-time-conflict into gpg.conf of pacman's keyring), or that keyring lacks the key (pacman-key --add, --lsign-key). It said: ${said}`,
    );
  if (exitCode !== 0 && (await intact(pacman, before)))
    throw new StepFailed(
      packagesAtFault.test(stderr) ? 'work' : 'host',
      `pacman refused ${names.join(', ')}; what was installed before is whole. It said: ${said}`,
    );
  const full = /Write failed|No space left/.test(stderr) ? ' The disk is full: make room.' : '';
  throw new Error(`pacman ended half-way through ${names.join(', ')}.${full} It said: ${said}`);
};
