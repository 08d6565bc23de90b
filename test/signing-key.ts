import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRun, type Run } from '../host/run.ts';

export interface SigningKey {
  gnupgHome: string;
  fingerprint: string;
  /** The file with only the public half, as gpgv needs it. */
  keyring: string;
  /** Runs gpg on this key's home. */
  gpg: (...args: string[]) => ReturnType<Run>;
  /** Waits until gpg itself treats the key as expired. */
  expired: () => Promise<void>;
  /** Ends the gpg-agent that was started for this home. */
  stop: () => Promise<void>;
}

/**
 * Opens the key whose home is this folder. generateSigningKey made it there, or in a folder from which this one was
 * copied.
 */
export const openSigningKey = async (folder: string): Promise<SigningKey> => {
  const run = createRun(() => undefined);
  const gpg = (...args: string[]) =>
    run(['gpg', '--homedir', folder, '--batch', '--pinentry-mode', 'loopback', ...args]);
  const { stdout } = await gpg('--list-keys', '--with-colons');
  const fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(stdout)?.[1];
  if (fingerprint === undefined) throw new Error(`gpg has no key in ${folder}`);
  return {
    gnupgHome: folder,
    fingerprint,
    keyring: join(folder, 'keyring.gpg'),
    gpg,
    expired: async () => {
      while (!/^pub:e:/m.test((await gpg('--list-keys', '--with-colons')).stdout)) await sleep(100);
    },
    stop: async () => void (await run(['gpgconf', '--homedir', folder, '--kill', 'all'])),
  };
};

/** Makes an OpenPGP signing key in its own home. `expires` as in gpg's --quick-generate-key; default: it does not. */
export const generateSigningKey = async (
  folder: string,
  expires = 'never',
  passphrase = '',
): Promise<SigningKey> => {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const generate = ['--quick-generate-key', 'Fleet <fleet@example.org>', 'ed25519', 'sign', expires];
  await createRun(() => undefined)([
    ...['gpg', '--homedir', folder, '--batch', '--pinentry-mode', 'loopback', '--passphrase', passphrase],
    ...generate,
  ]);
  const key = await openSigningKey(folder);
  await key.gpg('--output', key.keyring, '--export', key.fingerprint);
  return key;
};
