import { appendFile, chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createRun } from '../../../host/run.ts';
import { madeOnce } from '../../../test/made-once.ts';
import { generateSigningKey, openSigningKey, type SigningKey } from '../../../test/signing-key.ts';

const run = createRun(() => undefined);

/** Runs pacman-key on a keyring, as root. */
export const pacmanKey = (keyring: { configFile: string; folder: string }, ...args: string[]) =>
  run([
    ...(process.getuid?.() === 0 ? [] : ['unshare', '-Ur']),
    ...['pacman-key', '--config', keyring.configFile, '--gpgdir', keyring.folder, ...args],
  ]);

export const endGpgAgent = async (folder: string): Promise<void> => {
  await run(['gpgconf', '--homedir', folder, '--kill', 'all']).catch(() => undefined);
};

/** gpg-agent's sockets are not part of a key, and can't be copied. */
const copyHome = (from: string, to: string) =>
  cp(from, to, { recursive: true, filter: (path) => !basename(path).startsWith('S.') });

const parts = ['key', 'pacman'] as const;

/** A keyring of pacman that trusts a new key: pacman-key makes an RSA key of 4096 bits for it. */
const makeTrusted = async (into: string): Promise<void> => {
  // The path of an agent's socket has to be short: unix(7).
  const place = await mkdtemp(join(tmpdir(), 'ka-gpg-'));
  const keyring = { configFile: join(place, 'pacman.conf'), folder: join(place, 'pacman') };
  try {
    const key = await generateSigningKey(join(place, 'key'));
    await writeFile(keyring.configFile, '[options]\n');
    await mkdir(keyring.folder);
    await chmod(keyring.folder, 0o755);
    await pacmanKey(keyring, '--init');
    await appendFile(join(keyring.folder, 'gpg.conf'), 'ignore-time-conflict\n');
    await pacmanKey(keyring, '--add', key.keyring);
    await pacmanKey(keyring, '--lsign-key', key.fingerprint);
    await key.stop();
    await endGpgAgent(keyring.folder);
    for (const part of parts) await copyHome(join(place, part), join(into, part));
  } finally {
    await rm(place, { recursive: true, force: true });
  }
};

/** Puts copies of this machine's one signing key for tests, and of a keyring of pacman that trusts it, into two folders. */
export const copyTrustedKey = async (folders: { key: string; pacman: string }): Promise<SigningKey> => {
  const made = await madeOnce('trusted-key-1', makeTrusted);
  for (const part of parts) await copyHome(join(made, part), folders[part]);
  return openSigningKey(folders.key);
};
