import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { orNoRoom } from '../../host/disk-room.ts';
import { ProgramFailed } from '../../host/errors.ts';
import type { Run } from '../../host/run.ts';
import { syncPath } from '../../host/sync-path.ts';
import type { PublisherConfig } from '../../schemas/config.ts';
import { StepFailed } from '../runtime/errors.ts';
import { verifySignature } from '../runtime/openpgp-verify.ts';
import type { EffectParts } from '../runtime/step.ts';

type Signing = PublisherConfig['signing'];

/**
 * No pinentry mode is named: a passphrase, or a card's PIN, is asked for by gpg-agent's own means, as its config says.
 */
const gpg = ({ gnupgHome }: Signing): string[] => [
  ...['gpg', '--homedir', gnupgHome, '--batch', '--no-tty', '--yes'],
];

/** The validity of a key in gpg's listing with colons (GnuPG's doc/DETAILS, field 2). */
const unusable: Record<string, string> = { e: 'it has expired', r: 'it is revoked', d: 'it is disabled' };

/**
 * Reads field 7 of that listing: seconds since 1970, or `20380119T031408` if the year is far off. @returns RFC 3339;
 * null for never.
 */
export const expiryTime = (field: string): string | null => {
  if (field === '') return null;
  const [, date = '', time = ''] = /^(\d{8})T(\d{6})$/.exec(field) ?? [];
  const iso = `${date.replace(/(....)(..)(..)/, '$1-$2-$3')}T${time.replace(/(..)(..)(..)/, '$1:$2:$3')}Z`;
  return new Date(date === '' ? Number(field) * 1000 : iso).toISOString();
};

/**
 * Asks gpg about the key's secret half: why it can't be used, if so, and when it expires; undefined if gpg does not
 * have it.
 */
const listKey = async (
  run: Run,
  signing: Signing,
): Promise<{ fault: string | undefined; expires: string | null; keygrip: string } | undefined> => {
  const list = [...gpg(signing), '--with-colons', '--list-secret-keys', signing.fingerprint];
  const { exitCode, stdout } = await run(list, { exitCodes: [0, 2], quiet: true });
  if (exitCode !== 0) return undefined;
  const records = stdout.split('\n').map((line) => line.split(':'));
  const at = records.findIndex(([type, ...fields]) => type === 'fpr' && fields[8] === signing.fingerprint);
  const [, validity = '', , , , , expires = ''] = records[at - 1] ?? [];
  const [, , , , , , , , , keygrip = ''] = records[at + 1] ?? [];
  return { fault: unusable[validity], expires: expiryTime(expires), keygrip };
};

/**
 * What the key's secret half is protected by: gpg-agent(1), KEYINFO. `T` and `D` are where it is, and `P` is the
 * protection of one on the disk.
 */
const protectionOf = async (
  run: Run,
  { gnupgHome }: Signing,
  keygrip: string,
): Promise<'card' | 'passphrase' | 'none'> => {
  const ask = ['gpg-connect-agent', '--homedir', gnupgHome, `KEYINFO ${keygrip}`, '/bye'];
  const { stdout } = await run(ask, { quiet: true });
  const [, , , type, , , , protection] = stdout.split(/\s/);
  if (type === 'T') return 'card';
  return protection === 'P' ? 'passphrase' : 'none';
};

const notAnswered = {
  card: 'it is on a card, and gpg-agent could not use it or did not get its PIN',
  passphrase: 'it has a passphrase, and gpg-agent did not get it',
};
const answer = 'let the pinentry-program in gpg-agent.conf of that folder answer, or preset the passphrase';

/** Why a key can't sign. gpg itself calls an expired key and a missing one both "unusable". */
const whyNot = async (run: Run, signing: Signing, said: string): Promise<string> => {
  const key = await listKey(run, signing);
  if (key === undefined) return 'its secret half is not there';
  const since = key.fault === unusable.e && key.expires !== null ? `, on ${key.expires}` : '';
  if (key.fault !== undefined) return `${key.fault}${since}`;
  const protection = await protectionOf(run, signing, key.keygrip).catch(() => 'none' as const);
  if (protection === 'none') return said;
  return `${notAnswered[protection]} (${said}): ${answer}, see docs/enrolling-a-host.md`;
};

/**
 * Signs a file with the one key and verifies the result with gpgv. The signature is binary, since pacman and repo-add
 * refuse armor. `<file>.sig` is written only if it is good.
 * @returns The primary key's fingerprint, as gpgv saw it.
 * @throws {StepFailed} (host) naming the fingerprint, if the key can't sign or is not the one in the keyring.
 */
export const signDetached = async (
  run: Run,
  signing: Signing,
  file: string,
): Promise<{ fingerprint: string }> => {
  const { gnupgHome, fingerprint, keyring } = signing;
  const part = `${file}.sig.part`;
  // `!` stops gpg from using another key of the same owner, or a subkey.
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
    await orNoRoom(file, () => run([...gpg(signing), ...sign], { quiet: true }));
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error;
    const why = error.exitCode === undefined ? error.message : await whyNot(run, signing, error.message);
    throw new StepFailed(
      'host',
      `The key ${fingerprint} can't sign (${gnupgHome}): ${why}. Correct the key or this host's "signing".`,
      { cause: error },
    );
  }
  let signer: { fingerprint: string };
  try {
    signer = await verifySignature(run, { file, signature: part, keyring, fingerprint });
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    // The file was signed just now, so the fault is in this host's key or keyring.
    throw new StepFailed('host', error.message, { cause: error });
  }
  await syncPath(part);
  await rename(part, `${file}.sig`);
  return signer;
};

/** A key that has just signed: the primary key's fingerprint as gpgv saw it, and the day it expires. */
interface UsableKey {
  fingerprint: string;
  expires: string | null;
}

const tryToSign = async (run: Run, signing: Signing, folder: string): Promise<UsableKey> => {
  const trial = join(folder, 'trial');
  await orNoRoom(folder, () => writeFile(trial, 'trial\n'));
  const { fingerprint } = await signDetached(run, signing, trial);
  await Promise.all([rm(trial), rm(`${trial}.sig`)]);
  return { fingerprint, expires: (await listKey(run, signing))?.expires ?? null };
};

/**
 * An effect that signs a worthless file, to find out before anything else whether the key can sign. It leaves no trace
 * to probe for, and a repetition does no harm.
 * @param folder Where it signs. Its act throws {@link StepFailed} (host) naming the fingerprint.
 */
export const signingTrial = (run: Run, signing: Signing, folder: string): EffectParts<UsableKey> => ({
  probe: () => ({ happened: 'no' }),
  act: () => tryToSign(run, signing, folder),
});
