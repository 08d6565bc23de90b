import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PublisherConfig } from '../../schemas/config.ts';
import { ProgramFailed, StepFailed } from '../runtime/errors.ts';
import { verifySignature } from '../runtime/openpgp-verify.ts';
import type { Run } from '../runtime/run.ts';
import { syncPath } from '../runtime/sync-path.ts';

type Signing = PublisherConfig['signing'];

const gpg = ({ gnupgHome }: Signing): string[] => [
  ...['gpg', '--homedir', gnupgHome, '--batch', '--no-tty', '--yes', '--pinentry-mode', 'loopback'],
];

/** The validity of a key in gpg's listing with colons (GnuPG's doc/DETAILS, field 2). */
const unusable: Record<string, string> = { e: 'it has expired', r: 'it is revoked', d: 'it is disabled' };

/** Why a key can't sign: to gpg itself an expired key and a missing one are both "unusable". */
const whyNot = async (run: Run, signing: Signing, said: string): Promise<string> => {
  const list = [...gpg(signing), '--with-colons', '--list-secret-keys', signing.fingerprint];
  const { exitCode, stdout } = await run(list, { exitCodes: [0, 2], quiet: true });
  if (exitCode !== 0) return 'its secret half is not there';
  const records = stdout.split('\n').map((line) => line.split(':'));
  const at = records.findIndex(([type, ...fields]) => type === 'fpr' && fields[8] === signing.fingerprint);
  return unusable[records[at - 1]?.[1] ?? ''] ?? said;
};

/**
 * Signs a file with the one key, in binary, since pacman and repo-add refuse armor, and verifies the result with
 * gpgv. `<file>.sig` is there only if it is good.
 * @throws {StepFailed} (host) naming the fingerprint, if the key can't sign or is not the keyring's.
 */
export const signDetached = async (run: Run, signing: Signing, file: string): Promise<void> => {
  const { gnupgHome, fingerprint, keyring } = signing;
  const part = `${file}.sig.part`;
  // `!` stops gpg from taking another key of the same owner, or a subkey.
  const sign = [
    '--local-user',
    `${fingerprint}!`,
    '--no-armor',
    '--output',
    part,
    '--detach-sign',
    '--',
    file,
  ];
  try {
    await run([...gpg(signing), ...sign], { quiet: true });
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error;
    const why = error.exitCode === undefined ? error.message : await whyNot(run, signing, error.message);
    throw new StepFailed(
      'host',
      `The key ${fingerprint} can't sign (${gnupgHome}): ${why}. Put right the key or this host's "signing".`,
      { cause: error },
    );
  }
  try {
    await verifySignature(run, { file, signature: part, keyring, fingerprint });
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    // The file is the one that was just signed: what does not fit is this host's key or keyring.
    throw new StepFailed('host', error.message, { cause: error });
  }
  await syncPath(part);
  await rename(part, `${file}.sig`);
};

/**
 * Signs something of no worth, to know before anything else that the key can.
 * @throws {StepFailed} (host) naming the fingerprint.
 */
export const checkSigning = async (run: Run, signing: Signing, folder: string): Promise<void> => {
  const trial = join(folder, 'trial');
  await writeFile(trial, 'trial\n');
  await signDetached(run, signing, trial);
  await Promise.all([rm(trial), rm(`${trial}.sig`)]);
};
