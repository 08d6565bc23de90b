import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** The part of the version on which a config depends. */
export interface NatsVersion {
  major: number;
  minor: number;
}

export const notInstalled = 'nats-server is not installed: install the package nats-server';

/** Debian installs nats-server in a folder that is only in root's PATH. */
export const natsEnvironment = {
  ...process.env,
  PATH: `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`,
};

/**
 * @param text `nats-server: v2.9.10`, `2.10`.
 * @param where the text's origin, for the message.
 * @throws {Error} if it holds no version.
 */
export const readVersion = (text: string, where: string): NatsVersion => {
  const [, major, minor] = /(?:^|[\sv])(\d+)\.(\d+)(?:\.|\s*$)/.exec(text) ?? [];
  if (major === undefined || minor === undefined)
    throw new Error(`${where} says "${text.trim()}", which is no version of nats-server, like 2.9.10`);
  return { major: Number(major), minor: Number(minor) };
};

/** The version of the installed server. @throws {Error} if there is none. */
export const serverVersion = async (program = 'nats-server'): Promise<NatsVersion> => {
  const { stdout } = await promisify(execFile)(program, ['--version'], { env: natsEnvironment }).catch(
    (error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? new Error(notInstalled, { cause: error }) : error;
    },
  );
  return readVersion(stdout, 'nats-server --version');
};
