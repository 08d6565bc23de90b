import type { Run } from '../../../../host/run.ts';
import { loginUser } from './asked-logins.ts';

/** The home of a login's user: none, so that no file in it can let anybody in. */
const noHome = '/nonexistent';
const noShell = /\/nologin$/;

/** Whether an entry of passwd(5) is a user that enrolment makes. */
const isLoginUser = (home: string, shell: string): boolean => home === noHome && noShell.test(shell);

/** The users of this machine as whom others may log in, or might once. */
export const loginUsers = async (run: Run): Promise<string[]> => {
  const { stdout } = await run(['getent', 'passwd'], { quiet: true });
  return stdout
    .split('\n')
    .map((line) => line.split(':'))
    .filter(
      ([name = '', , , , , home = '', shell = '']) =>
        name.startsWith(loginUser('')) && isLoginUser(home, shell),
    )
    .map(([name = '']) => name);
};

type LoginUser = 'there' | 'absent';

/**
 * Looks at a login's user.
 * @throws {Error} if a user of that name is not one that enrolment makes: somebody may work as it.
 */
export const lookAtLoginUser = async (run: Run, user: string): Promise<LoginUser> => {
  const { exitCode, stdout } = await run(['getent', 'passwd', user], { exitCodes: [0, 2], quiet: true });
  if (exitCode !== 0) return 'absent';
  const [, , , , , home = '', shell = ''] = stdout.trim().split(':');
  if (!isLoginUser(home, shell))
    throw new Error(
      `the user ${user} has the home ${home} and the shell ${shell}, and one with ${noHome} and nologin was expected: somebody else has made it; rename it, then enrol again`,
    );
  return 'there';
};

/** Makes a login's user if it is absent. It has no password, and is not locked: sshd without PAM refuses a locked one. */
export const makeLoginUser = async (run: Run, user: string): Promise<boolean> => {
  if ((await lookAtLoginUser(run, user)) === 'there') return false;
  await run([
    ...['useradd', '--system', '--user-group', '--no-create-home', '--home-dir', noHome],
    ...['--shell', '/usr/sbin/nologin', '--password', '*', '--', user],
  ]);
  return true;
};
