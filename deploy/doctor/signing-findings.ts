import { lstatSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expiryTime } from '../../agents/publisher/openpgp.ts';
import { asUserArgv } from '../../eventlog/files/as-user.ts';
import { createRun } from '../../host/run.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { type Finding, fine, wrong } from './finding.ts';
import type { LocalConfig } from './local-configs.ts';

const dayMs = 24 * 3600 * 1000;
const soonDays = 30;

/** @param expires RFC 3339; null for never. @param now milliseconds since 1970. */
const expiryFinding = (what: string, expires: string | null, now: number): Finding => {
  if (expires === null) return fine(what, 'does not expire');
  const days = Math.floor((Date.parse(expires) - now) / dayMs);
  const day = expires.slice(0, 10);
  if (days >= soonDays) return fine(what, `expires on ${day}`);
  return wrong(
    what,
    Date.parse(expires) <= now ? `has expired on ${day}` : `expires on ${day}, in ${days} days`,
    'extend it (gpg --quick-set-expire FINGERPRINT 1y), and give every board the new public half: packages that it signs are refused after that day',
  );
};

/** When a key expires, by gpg's own listing; null for never, undefined if the key is not there. */
const keyExpiry = async ({
  gnupgHome,
  keyring,
  fingerprint,
}: NonNullable<LocalConfig['signing']>): Promise<string | null | undefined> => {
  // The publisher's own home shows an extended date; a host that only checks has the exported key. gpg writes into its
  // home, so it gets a temporary one there.
  const home = gnupgHome ?? mkdtempSync(join(tmpdir(), 'ka-gpg-'));
  const list = gnupgHome === undefined ? ['--show-keys', '--', keyring] : ['--list-keys', '--', fingerprint];
  // gpg runs what the config in its home names: root runs it as the home's owner.
  const as = asUserArgv(lstatSync(home, { throwIfNoEntry: false }) ?? { uid: 0, gid: 0 });
  try {
    const { exitCode, stdout } = await createRun(() => undefined)(
      [...as, 'gpg', '--homedir', home, '--batch', '--no-tty', '--with-colons', ...list],
      { exitCodes: [0, 2], quiet: true },
    );
    if (exitCode !== 0) return undefined;
    const records = stdout.split('\n').map((line) => line.split(':'));
    const at = records.findIndex((fields) => fields[0] === 'fpr' && fields[9] === fingerprint);
    return at < 0 ? undefined : expiryTime(records[at - 1]?.[6] ?? '');
  } finally {
    if (gnupgHome === undefined) rmSync(home, { recursive: true });
  }
};

/** Findings for the OpenPGP keys with which this machine signs or checks packages. */
export const signingFindings = async (
  configs: readonly LocalConfig[],
  now = Date.now(),
): Promise<Finding[]> => {
  const findings: Finding[] = [];
  for (const { file, signing } of configs) {
    if (!signing) continue;
    const { gnupgHome, keyring, fingerprint } = signing;
    const place = gnupgHome ?? keyring;
    const what = `signing key ${fingerprint.slice(-16)} in ${place}`;
    try {
      const expires = await keyExpiry(signing);
      findings.push(
        expires === undefined
          ? wrong(what, 'is not there', `import it, or put right "signing" in ${file}`)
          : expiryFinding(what, expires, now),
      );
    } catch (error) {
      findings.push(wrong(what, error instanceof Error ? error.message : String(error), 'install GnuPG'));
    }
  }
  return findings;
};

/** The finding for the key in the publisher's last keycheck, which need not be on this machine. */
export const loggedSigningFindings = (events: readonly LoggedEvent[], now = Date.now()): Finding[] => {
  const last = events.findLast(
    ({ event }) => event.kind === 'step' && event.step === 'keycheck' && event.fact === 'Succeeded',
  );
  if (last?.event.kind !== 'step' || last.event.step !== 'keycheck' || last.event.fact !== 'Succeeded')
    return [];
  const { evidence } = last.event.data;
  const what = `signing key ${evidence.fingerprint.slice(-16)}, as ${last.event.source} said in event ${last.sequence}`;
  return [expiryFinding(what, evidence.expires, now)];
};
