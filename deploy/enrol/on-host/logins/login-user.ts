import type { Run } from '../../../../host/run.ts';

/** The home of a login's user: none, so that no file in it can let anybody in. */
const noHome = '/nonexistent';
const noShell = /\/nologin$/;

type LoginUser = 'there' | 'absent';

/**
 * Looks at a login's user.
 * @throws {Error} if a user of that name is not one that enrolment makes: somebody may work as it.
 */
export const lookAtLoginUser = async (run: Run, user: string): Promise<LoginUser> => {
  const { exitCode, stdout } = await run(['getent', 'passwd', user], { exitCodes: [0, 2], quiet: true });
  if (exitCode !== 0) return 'absent';
  const [, , , , , home = '', shell = ''] = stdout.trim().split(':');
  if (home !== noHome || !noShell.test(shell))
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
