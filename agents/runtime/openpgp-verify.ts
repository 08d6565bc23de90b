import { access, constants } from 'node:fs/promises';
import { ProgramFailed } from '../../host/errors.ts';
import type { Run } from '../../host/run.ts';
import type { Fault } from '../../schemas/steps.ts';
import { StepFailed } from './errors.ts';

/** The most that a detached signature has. */
export const signatureAtMostBytes = 64 * 1024;

/** The lines that gpgv writes to its status channel, split into words (GnuPG's doc/DETAILS). */
const statusLines = (stdout: string): string[][] =>
  stdout
    .split('\n')
    .filter((line) => line.startsWith('[GNUPG:] '))
    .map((line) => line.split(' ').slice(1));

/**
 * Verifies a detached signature with gpgv: there has to be exactly one, it has to be good, and by the one pinned key.
 * @param acceptExpiredKey Whether the key may have expired since, by this host's clock.
 * @param keyring A file with the public half of that key and nothing else (binary, as `gpg --export` writes it).
 * @param fingerprint The primary key's fingerprint, 40 upper-case hexadecimal digits.
 * @returns The fingerprint of the primary key that signed, as gpgv saw it.
 * @throws {StepFailed} (work) saying what was found instead, (host) if the keyring can't be read, or something has
 * expired: this host's clock may be wrong.
 */
export const verifySignature = async (
  run: Run,
  {
    file,
    signature,
    keyring,
    fingerprint,
    acceptExpiredKey = false,
  }: {
    file: string;
    signature: string;
    keyring: string;
    fingerprint: string;
    acceptExpiredKey?: boolean;
  },
): Promise<{ fingerprint: string }> => {
  // gpgv treats a missing keyring as an empty one.
  await access(keyring, constants.R_OK).catch((error: unknown) => {
    throw new StepFailed(
      'host',
      `The keyring ${keyring} with the key ${fingerprint} can't be read: enrol this host.`,
      { cause: error },
    );
  });
  // gpgv's exit code proves nothing: 0 for an expired key, 2 for a missing one and for a bad signature. To a clock that
  // is behind, a key seems to be from the future; what counts here is who signed, and that key is pinned.
  const { stdout, stderr } = await run(
    ['gpgv', '--ignore-time-conflict', '--keyring', keyring, '--status-fd', '1', '--', signature, file],
    {
      exitCodes: [0, 1, 2],
      quiet: true,
    },
  ).catch((error: unknown) => {
    if (error instanceof ProgramFailed)
      throw new StepFailed('host', `${error.message}: install GnuPG's gpgv.`, { cause: error });
    throw error;
  });
  const status = statusLines(stdout);
  const all = (keyword: string) => status.filter(([first]) => first === keyword);
  const refuse = (found: string, fault: Fault = 'work') =>
    new StepFailed(
      fault,
      `The signature ${signature} is refused: ${found}; one good signature by ${fingerprint} was expected.`,
    );

  const signatures = all('NEWSIG').length;
  if (signatures > 1) throw refuse(`it holds ${signatures} signatures`);
  const expired = `has expired (the clock here says ${new Date().toISOString().slice(0, 10)})`;
  for (const [keyword, word, fault] of [
    ['BADSIG', `${file} is not what was signed`, 'work'],
    ['REVKEYSIG', 'its key is revoked', 'work'],
    ['EXPSIG', `it ${expired}`, 'host'],
    ...(acceptExpiredKey ? [] : [['EXPKEYSIG', `its key ${expired}`, 'host'] as const]),
  ] as const)
    if (all(keyword).length > 0) throw refuse(word, fault);
  const [missing] = all('NO_PUBKEY');
  if (missing) throw refuse(`it is by ${all('ERRSIG')[0]?.[7] ?? missing[1]}, which is not in ${keyring}`);
  const valid = all('VALIDSIG');
  // Exactly one of these keywords says that the signature is good. EXPKEYSIG is for an expired key, which is accepted
  // if we get here.
  if (all('GOODSIG').length + all('EXPKEYSIG').length !== 1 || valid.length !== 1)
    throw refuse(`gpgv said "${stderr.trim().split('\n').at(-1) || 'nothing'}"`);
  // The tenth field is the primary key's fingerprint, whichever subkey signed.
  const primary = valid[0]?.[10];
  if (primary !== fingerprint) throw refuse(`it is by ${primary}`);
  return { fingerprint: primary };
};
