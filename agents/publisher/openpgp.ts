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

const gpg = ({ gnupgHome }: Signing): string[] => [
  ...['gpg', '--homedir', gnupgHome, '--batch', '--no-tty', '--yes', '--pinentry-mode', 'loopback'],
];

/** The validity of a key in gpg's listing with colons (GnuPG's doc/DETAILS, field 2). */
const unusable: Record<string, string> = { e: 'it has expired', r: 'it is revoked', d: 'it is disabled' };

/** Field 7 there: seconds since 1970, or `20380119T031408` where the year is far off. RFC 3339; null for never. */
export const expiryTime = (field: string): string | null => {
  if (field === '') return null;
  const [, date = '', time = ''] = /^(\d{8})T(\d{6})$/.exec(field) ?? [];
  const iso = `${date.replace(/(....)(..)(..)/, '$1-$2-$3')}T${time.replace(/(..)(..)(..)/, '$1:$2:$3')}Z`;
  return new Date(date === '' ? Number(field) * 1000 : iso).toISOString();
};

/** What gpg says of the key's secret half: why it can't be used, if so, and until when it can; undefined if it has none. */
const listKey = async (
  run: Run,
  signing: Signing,
): Promise<{ fault: string | undefined; expires: string | null } | undefined> => {
  const list = [...gpg(signing), '--with-colons', '--list-secret-keys', signing.fingerprint];
  const { exitCode, stdout } = await run(list, { exitCodes: [0, 2], quiet: true });
  if (exitCode !== 0) return undefined;
  const records = stdout.split('\n').map((line) => line.split(':'));
  const at = records.findIndex(([type, ...fields]) => type === 'fpr' && fields[8] === signing.fingerprint);
  const [, validity = '', , , , , expires = ''] = records[at - 1] ?? [];
  return { fault: unusable[validity], expires: expiryTime(expires) };
};

/** Why a key can't sign: to gpg itself an expired key and a missing one are both "unusable". */
const whyNot = async (run: Run, signing: Signing, said: string): Promise<string> => {
  const key = await listKey(run, signing);
  if (key === undefined) return 'its secret half is not there';
  const since = key.fault === unusable.e && key.expires !== null ? `, on ${key.expires}` : '';
  return key.fault === undefined ? said : `${key.fault}${since}`;
};

/**
 * Signs a file with the one key, in binary, since pacman and repo-add refuse armor, and verifies the result with
 * gpgv. `<file>.sig` is there only if it is good.
 * @returns The primary key's fingerprint, as gpgv saw it.
 * @throws {StepFailed} (host) naming the fingerprint, if the key can't sign or is not the keyring's.
 */
export const signDetached = async (
  run: Run,
  signing: Signing,
  file: string,
): Promise<{ fingerprint: string }> => {
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
    await orNoRoom(file, () => run([...gpg(signing), ...sign], { quiet: true }));
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error;
    const why = error.exitCode === undefined ? error.message : await whyNot(run, signing, error.message);
    throw new StepFailed(
      'host',
      `The key ${fingerprint} can't sign (${gnupgHome}): ${why}. Put right the key or this host's "signing".`,
      { cause: error },
    );
  }
  let signer: { fingerprint: string };
  try {
    signer = await verifySignature(run, { file, signature: part, keyring, fingerprint });
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    // The file is the one that was just signed: what does not fit is this host's key or keyring.
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
 * The effect of signing something of no worth, to know before anything else that the key can. It leaves nothing to be
 * found, and a second one costs nothing.
 * @param folder It signs there. Its act throws {@link StepFailed} (host) naming the fingerprint.
 */
export const signingTrial = (run: Run, signing: Signing, folder: string): EffectParts<UsableKey> => ({
  probe: () => ({ happened: 'no' }),
  act: () => tryToSign(run, signing, folder),
});
