import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { z } from 'zod';
import { Refused } from '../../coordinator/refused.ts';
import { programPath } from '../../host/run.ts';
import { logIn, named } from '../../host/ssh-login.ts';
import { printable } from '../../schemas/printable.ts';
import { bundleEnroller } from './agent-bundle.ts';
import type { Destination } from './destination.ts';
import type { Asked } from './on-host/asked.ts';
import { type RanThere, runThere } from './remote-shell.ts';

/** How to log in to a host that is enrolled or retired. */
export interface HostLogin extends Destination {
  /** `SHA256:…` or `ssh-ed25519 AAAA…`. */
  hostKey: string;
  /** The private key's file. Default: the ssh-agent's keys, or ~/.ssh/id_ed25519 if there is no ssh-agent. */
  identity?: string;
}

/** A connection over which a host answers questions. */
export interface HostLine {
  /** @throws {Error} with the host's own reason. */
  ask<Answer extends z.ZodType>(asked: Asked, answer: Answer): Promise<z.infer<Answer>>;
  close(): void;
}

/** The PATH of units, in which a host's Node has to be. systemd.exec(5) */
const path = `PATH=${programPath}`;
const leastNode = [20, 19] as const;

const credentials = async (identity: string | undefined) => {
  const agent = process.env.SSH_AUTH_SOCK;
  if (identity === undefined && agent) return { agent, identity: 'of the ssh-agent' };
  const file = identity ?? join(homedir(), '.ssh/id_ed25519');
  if (!existsSync(file))
    throw new Refused(`there is no key ${file} to log in with: name one with --identity`);
  const privateKey = await readFile(file);
  // ssh2 would report this only once it is connected, as if the host did not answer.
  const parsed = ssh2.utils.parseKey(privateKey);
  if (parsed instanceof Error)
    throw new Refused(
      `${file} can't be used to log in (${printable(parsed.message)}): one with a passphrase belongs in an ssh-agent (ssh-add ${file}), or name another with --identity`,
    );
  return { privateKey, identity: file };
};

const Failed = z.object({ failed: z.string() });
const lastLine = (text: string): string => printable(text.trim().split('\n').at(-1) ?? '');

const whyFailed = ({ exitCode, stdout, stderr }: RanThere): string => {
  try {
    return printable(Failed.parse(JSON.parse(stdout)).failed);
  } catch {
    return lastLine(stderr) || `exit code ${exitCode}`; // Node itself failed
  }
};

/**
 * Logs in to a host and checks that it has a Node on which the agent runs.
 * @param onLine receives the lines that the host prints while it works.
 * @throws {Refused} if it has none, or the login is not root and can't become root.
 * @throws {MachineFault} if it can't be reached, refuses the key, or shows another host key.
 */
export const openHostLine = async (
  login: HostLogin,
  onLine: (line: string) => void,
  signal?: AbortSignal,
): Promise<HostLine> => {
  const client = await logIn({ ...login, ...(await credentials(login.identity)) }, signal);
  client.on('error', () => undefined); // running questions learn of it by the close that follows
  try {
    const asRoot = login.user === 'root' ? [] : ['sudo', '-n', '--'];
    const node = [...asRoot, 'env', path, 'node'];
    const { exitCode, stdout, stderr } = await runThere(client, [...node, '--version']);
    if (exitCode !== 0 && asRoot.length > 0 && /sudo/.test(stderr))
      throw new Refused(
        `${named(login)} can't become root without a password (${lastLine(stderr)}): log in as root, or let ${login.user} do so in sudoers`,
      );
    const [, major = '0', minor = '0'] = /^v(\d+)\.(\d+)\./.exec(stdout) ?? [];
    const isEnough =
      Number(major) > leastNode[0] || (Number(major) === leastNode[0] && Number(minor) >= leastNode[1]);
    if (exitCode !== 0 || !isEnough)
      throw new Refused(
        `${named(login)} has ${exitCode === 0 ? `Node ${printable(stdout.trim())}` : 'no Node'}, and the agent needs ${leastNode.join('.')} or later in /usr/bin or /usr/local/bin`,
      );
    const program = await bundleEnroller();
    return {
      async ask(asked, answer) {
        const input = `globalThis.asked = ${JSON.stringify(asked)};\n${program}`;
        const ran = await runThere(client, [...node, '--input-type=module', '-'], { input, onLine });
        if (ran.exitCode !== 0) throw new Error(`${named(login)}: ${whyFailed(ran)}`);
        return answer.parse(JSON.parse(ran.stdout));
      },
      close: () => void client.end(),
    };
  } catch (error) {
    client.end();
    throw error;
  }
};
