import { appendFile, chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Run } from '../../host/run.ts';
import { cached, copyFolder } from '../cache/cache.ts';
import type { SandboxPlaces } from '../places/sandbox-places.ts';
import { asPacmanUser } from './board/board-pacman.ts';

const owner = 'kernel-agent sandbox (signs nothing real) <sandbox@kernel-agent.invalid>';

const endDaemons = (run: Run, home: string) =>
  run(['gpgconf', '--homedir', home, '--kill', 'all'], { quiet: true });

/** Makes a key for signing packages, and the keyring of a pacman that trusts it. */
const makeKeys = async (run: Run, folder: string): Promise<void> => {
  // A GnuPG home needs a short path: it holds its agent's socket, whose path may have 107 characters.
  const home = await mkdtemp(join(tmpdir(), 'ka-gpg-'));
  const [gnupg, pacman] = [join(home, 'gnupg'), join(home, 'pacman')];
  try {
    for (const each of [gnupg, pacman]) await mkdir(each, { mode: 0o700 });
    const gpg = (...args: string[]) =>
      run(['gpg', '--homedir', gnupg, '--batch', '--no-tty', ...args], { quiet: true });
    await gpg(
      '--passphrase',
      '',
      '--pinentry-mode',
      'loopback',
      '--quick-generate-key',
      owner,
      'ed25519',
      'sign',
      'never',
    );
    const { stdout } = await gpg('--with-colons', '--list-secret-keys');
    const fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(stdout)?.[1];
    if (fingerprint === undefined) throw new Error('gpg made a key and does not list it');
    await gpg('--export', '--output', join(folder, 'packages.gpg'), fingerprint);
    await writeFile(join(folder, 'fingerprint'), `${fingerprint}\n`);

    const config = join(home, 'pacman.conf');
    await writeFile(config, `[options]\nGPGDir = ${pacman}\n`);
    const pacmanKey = (...args: string[]) =>
      run(asPacmanUser(['pacman-key', '--config', config, '--gpgdir', pacman, ...args]), { quiet: true });
    await pacmanKey('--init');
    await pacmanKey('--add', join(folder, 'packages.gpg'));
    // Without a local signature, pacman reports the key's trust as unknown.
    await pacmanKey('--lsign-key', fingerprint);
    for (const each of [gnupg, pacman]) await endDaemons(run, each);
    await copyFolder(gnupg, join(folder, 'gnupg'));
    await copyFolder(pacman, join(folder, 'pacman'));
  } finally {
    await rm(home, { recursive: true, force: true });
  }
};

/**
 * Gives hertz its signing key and the board the keyrings that trust it. The key is made once and kept in the cache,
 * which only its owner can read: it has no passphrase, and only signs the builds of sandboxes on this machine.
 * @returns the key's fingerprint.
 */
export const placeSigningKey = async (
  run: Run,
  places: SandboxPlaces,
  cacheFolder: string,
  onProgress: (line: string) => void,
): Promise<string> => {
  const keys = await cached(cacheFolder, 'sandbox-keys-1', async (folder) => {
    onProgress('making the sandbox’s package signing key and pacman’s keyring');
    await makeKeys(run, folder);
  });
  await copyFolder(join(keys, 'gnupg'), places.gnupgHome);
  await chmod(places.gnupgHome, 0o700);
  await mkdir(places.board.gpg, { recursive: true });
  await copyFolder(join(keys, 'pacman'), places.board.gpg);
  // To a board whose clock is behind, for example without a battery, the key would seem to be from the future.
  await appendFile(join(places.board.gpg, 'gpg.conf'), 'ignore-time-conflict\n');
  // pacman also reads its keyring as an ordinary user; the secret half of pacman's own key keeps its mode.
  await chmod(places.board.gpg, 0o755);
  for (const host of ['hertz', 'fresnel'] as const)
    await copyFile(join(keys, 'packages.gpg'), places.keyring(host));
  return (await readFile(join(keys, 'fingerprint'), 'utf8')).trim();
};

/** Ends the daemons that gpg left for the sandbox's homes. */
export const endGpgDaemons = async (run: Run, places: SandboxPlaces): Promise<void> => {
  for (const home of [places.gnupgHome, places.board.gpg]) await endDaemons(run, home).catch(() => undefined); // without the home there are no daemons
};
