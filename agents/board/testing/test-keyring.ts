import { appendFile, chmod, cp, mkdir, writeFile } from 'node:fs/promises';
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

/** A keyring of pacman that trusts a new key: pacman-key makes an RSA key of 4096 bits for it. */
const makeTrusted = async (place: string): Promise<void> => {
  const key = await generateSigningKey(join(place, 'key'));
  const keyring = { configFile: join(place, 'pacman.conf'), folder: join(place, 'pacman') };
  await writeFile(keyring.configFile, '[options]\n');
  await mkdir(keyring.folder);
  await chmod(keyring.folder, 0o755);
  await pacmanKey(keyring, '--init');
  await appendFile(join(keyring.folder, 'gpg.conf'), 'ignore-time-conflict\n');
  await pacmanKey(keyring, '--add', key.keyring);
  await pacmanKey(keyring, '--lsign-key', key.fingerprint);
  await key.stop();
  await endGpgAgent(keyring.folder);
};

/** Puts copies of the run's one signing key, and of a keyring of pacman that trusts it, into two folders. */
export const copyTrustedKey = async (folders: { key: string; pacman: string }): Promise<SigningKey> => {
  const made = await madeOnce('trusted-key', makeTrusted);
  // gpg-agent's sockets are no part of a key, and can't be copied.
  const filter = (path: string) => !basename(path).startsWith('S.');
  for (const part of ['key', 'pacman'] as const)
    await cp(join(made, part), folders[part], { recursive: true, filter });
  return openSigningKey(folders.key);
};
