import { ProgramFailed } from '../../../host/errors.ts';
import { StepFailed } from '../../runtime/errors.ts';

/** The exit code of a program that did not get its place's lock. */
export const lockedExitCode = 75;

/** What makepkg's exit codes mean, and whose fault each is; from its `util/error.sh`. */
const meanings: Record<number, { fault: 'work' | 'host'; says: string }> = {
  1: { fault: 'work', says: 'a checksum does not match, or source and sums differ in number' },
  2: { fault: 'host', says: 'its configuration has an error' },
  3: { fault: 'host', says: 'this makepkg does not know an option' },
  4: { fault: 'work', says: 'a function of the PKGBUILD failed' },
  5: { fault: 'work', says: 'the package could not be made' },
  6: { fault: 'work', says: 'a source file is missing' },
  7: { fault: 'work', says: 'the folder to package is missing' },
  8: { fault: 'host', says: 'dependencies are missing' },
  10: { fault: 'host', says: 'makepkg refuses to run as root; name a user in makepkg.user' },
  11: { fault: 'host', says: 'its user may not write to a folder' },
  12: { fault: 'work', says: 'the PKGBUILD has an error, or is not for this architecture' },
  13: { fault: 'host', says: 'the package is there already' },
  15: { fault: 'host', says: 'a program that makepkg needs is missing' },
};

const plain = (line: string): string => line.replace(/^==>\s*ERROR:\s*/, '').trim();

/** makepkg's own words for what went wrong: its error lines, or the last line on stderr. */
const said = ({ stdout, stderr }: ProgramFailed): string => {
  const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '');
  const errors = lines
    .filter((line) => /==> ERROR:|\.\.\. FAILED$|PKGBUILD: line \d+: /.test(line))
    .map(plain);
  return errors.length > 0 ? errors.slice(0, 3).join('; ') : plain(stderr.trim().split('\n').at(-1) ?? '');
};

/** The failure of a program because its disk was full; undefined if that was not the cause. */
export const outOfRoom = (error: unknown, what: string): StepFailed | undefined =>
  error instanceof ProgramFailed && /No space left on device/.test(`${error.stdout}\n${error.stderr}`)
    ? new StepFailed('host', `${what}: no space left on this host's disk`, { cause: error })
    : undefined;

/**
 * What a failed makepkg means for the step. An error that another try may fix is returned as it is.
 * @param offline Whether it intentionally had no network.
 */
export const judge = (error: unknown, what: string, { offline = false } = {}): unknown => {
  if (!(error instanceof ProgramFailed)) return error;
  const output = `${error.stdout}\n${error.stderr}`;
  const fail = (fault: 'work' | 'host', reason: string) => new StepFailed(fault, reason, { cause: error });
  const full = outOfRoom(error, what);
  if (full) return full;
  if ((error.cause as { code?: string } | undefined)?.code === 'ENOENT')
    return fail('host', `${what}: ${error.program} is not installed on this host`);
  // Killed by somebody, or timed out: the runtime tries again.
  if (error.exitCode === undefined) return error;
  if (/Failure while downloading/.test(output)) {
    if (!offline) return error; // the network failed
    return fail(
      'work',
      `${what} wants a source that .SRCINFO does not name, and has no network: ${said(error)}`,
    );
  }
  if (error.exitCode === lockedExitCode)
    return new Error(`${what}: another build still works in the same folder`, { cause: error });
  // makepkg's own codes are small: env found no makepkg.
  if (/^bwrap: /m.test(error.stderr) || (error.exitCode >= 125 && /^env: /m.test(error.stderr)))
    return fail('host', `${what}: this host could not run it confined: ${said(error)}`);
  if (/^setpriv: /m.test(error.stderr))
    return fail('host', `${what}: this host can't become makepkg.user: ${said(error)}`);
  const meaning = meanings[error.exitCode];
  if (!meaning) return fail('work', `${what} ended with exit code ${error.exitCode}: ${said(error)}`);
  return fail(
    meaning.fault,
    `${what} ended with exit code ${error.exitCode}, ${meaning.says}: ${said(error)}`,
  );
};
