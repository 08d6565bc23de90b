import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { Run } from '../../../../host/run.ts';
import { rootsOwner } from '../owner.ts';
import { fileState, placeFile } from '../place-file.ts';
import type { AskedLogins } from './asked-logins.ts';

type DropIn = Pick<AskedLogins, 'dropIn' | 'effective'>;

const placed = (path: string, text: string) => {
  const bytes = Buffer.from(text);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { file: { path, mode: 0o644, owner: rootsOwner(), sha256 }, bytes };
};

/**
 * What sshd would do with these users, where that is not what it should do: by its own word, after it has read all of
 * its config. sshd(8), -T and -C
 */
const strayOptions = async (run: Run, { effective }: DropIn): Promise<string[]> => {
  const stray: string[] = [];
  for (const { user, lines } of effective) {
    const test = ['sshd', '-T', '-C', `user=${user},host=localhost,addr=127.0.0.1`];
    const { stdout } = await run(test, { quiet: true });
    const said = new Set(stdout.split('\n').map((line) => line.trim()));
    for (const line of lines) if (!said.has(line)) stray.push(`${user} without "${line}"`);
  }
  return stray;
};

/** Compares sshd's own file for the logins with how it should be. */
export const lookAtDropIn = async ({ dropIn }: DropIn): Promise<'same' | 'other'> =>
  (await fileState(placed(dropIn.path, dropIn.text).file)) === 'same' ? 'same' : 'other';

/**
 * Puts sshd's own file for the logins in its place. If sshd then has a fault to name, or would treat one of the users in
 * another way, the file is put back as it was: a next start of sshd would let nobody in, or too many.
 * @throws {Error} with what sshd says.
 */
export const placeDropIn = async (run: Run, asked: DropIn): Promise<boolean> => {
  if ((await lookAtDropIn(asked)) === 'same') return false;
  const { path, text } = asked.dropIn;
  const before = lstatSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path, 'utf8') : null;
  const { file, bytes } = placed(path, text);
  await placeFile(file, bytes);
  let fault: string | null = null;
  try {
    await run(['sshd', '-t'], { quiet: true });
    const stray = await strayOptions(run, asked);
    if (stray.length > 0)
      fault = `sshd would let in ${stray.join(', ')}: its config has to include /etc/ssh/sshd_config.d/*.conf, and no file before ${path} may say otherwise`;
  } catch (error) {
    fault = `sshd does not accept ${path} (${error instanceof Error ? error.message : String(error)})`;
  }
  if (fault === null) return true;
  if (before === null) await rm(path, { force: true });
  else {
    const former = placed(path, before);
    await placeFile(former.file, former.bytes);
  }
  throw new Error(fault);
};

/** sshd's units: Debian's, and Arch Linux's. */
const sshdUnits = ['ssh.service', 'sshd.service'];

/** Lets a running sshd read its config again. One that systemd starts for each connection reads it then. */
export const reloadSshd = async (run: Run): Promise<void> => {
  if (!existsSync('/run/systemd/system')) return;
  for (const unit of sshdUnits) {
    const { exitCode } = await run(['systemctl', 'is-active', '--quiet', unit], {
      exitCodes: [0, 1, 3, 4],
      quiet: true,
    });
    if (exitCode === 0) await run(['systemctl', 'reload', '--', unit]);
  }
};
