import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createRun } from '../../host/run.ts';
import { PublisherConfig } from '../../schemas/config.ts';
import { runStep } from '../../test/run-step.ts';
import { generateSigningKey, type SigningKey } from '../../test/signing-key.ts';
import { keycheck } from './keycheck.ts';

const run = createRun(() => undefined);
let folder: string;
let key: SigningKey;
let other: SigningKey;
let attempt = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keycheck-'));
  [key, other] = await Promise.all([
    generateSigningKey(join(folder, 'key')),
    generateSigningKey(join(folder, 'other')),
  ]);
});
afterAll(async () => {
  await Promise.all([key.stop(), other.stop()]);
  await rm(folder, { recursive: true });
});

const check = async (
  signing: Partial<PublisherConfig['signing']> = {},
  fingerprint = signing.fingerprint ?? key.fingerprint,
) => {
  const { gnupgHome, keyring } = key;
  const host = PublisherConfig.parse({
    fleet: 'test',
    host: 'hertz',
    role: 'publisher',
    nats: { servers: ['127.0.0.1'] },
    keyFile: '/key',
    trustFile: '/trust.json',
    stateFolder: join(folder, 'state'),
    peers: {},
    signing: { gnupgHome, keyring, fingerprint: key.fingerprint, ...signing },
    repository: { name: 'fleet', folder: join(folder, 'repository') },
  });
  attempt += 1;
  return (
    await runStep('keycheck', keycheck, { fingerprint }, host, { folder: join(folder, 'state'), attempt })
  ).evidence;
};

test('shows the key that has signed, and the day on which it expires', async () => {
  expect(await check()).toEqual({ fingerprint: key.fingerprint, expires: null });
  const dated = await generateSigningKey(join(folder, 'dated'), '20990101T000000');
  onTestFinished(() => dated.stop());
  const { gnupgHome, keyring, fingerprint } = dated;
  expect(await check({ gnupgHome, keyring, fingerprint })).toEqual({
    fingerprint,
    expires: '2099-01-01T00:00:00.000Z',
  });
});

test('a key that has expired is refused, with the day on which it expired', async () => {
  const expired = await generateSigningKey(join(folder, 'expired'), 'seconds=1');
  onTestFinished(() => expired.stop());
  await expired.expired();
  const { gnupgHome, keyring, fingerprint } = expired;
  const refused = check({ gnupgHome, keyring, fingerprint });
  await expect(refused).rejects.toThrow(/it has expired, on 20\d\d-\d\d-\d\dT[\d:.]+Z/);
  await expect(refused).rejects.toMatchObject({ fault: 'host' });
});

test('a key whose secret half is gone is refused, and works again once it is back', async () => {
  const secrets = join(key.gnupgHome, 'private-keys-v1.d');
  await rename(secrets, `${secrets}.away`);
  await expect(check()).rejects.toThrow(`${key.fingerprint} can't sign (${key.gnupgHome}): its secret half`);
  await rm(secrets, { recursive: true, force: true });
  await rename(`${secrets}.away`, secrets);
  await check();
});

test("a key that is not the fleet's is refused before anything is signed", async () => {
  await expect(check({}, other.fingerprint)).rejects.toThrow(
    `is set up to sign with ${key.fingerprint} and the fleet's key is ${other.fingerprint}`,
  );
  await expect(check({ gnupgHome: other.gnupgHome, fingerprint: other.fingerprint })).rejects.toThrow(
    `not in ${key.keyring}`,
  );
  await cp(other.keyring, join(folder, 'ring'));
  await expect(check({ keyring: join(folder, 'ring') })).rejects.toMatchObject({
    fault: 'host',
    message: expect.stringContaining(`which is not in ${join(folder, 'ring')}`),
  });
});

/** The pinentry of docs/enrolling-a-host.md, with this file in the place of systemd's credential. */
const documentedPinentry = async (passphraseFile: string): Promise<string> => {
  const page = await readFile(new URL('../../docs/enrolling-a-host.md', import.meta.url), 'utf8');
  const [script = ''] = /^ {4}#!\/bin\/sh\n(?: {4}.*\n)+/m.exec(page) ?? [];
  const text = script.replaceAll(/^ {4}/gm, '');
  return text.replace('/run/credentials/kernel-agent.service/signing-passphrase', passphraseFile);
};

/** Gives a key's gpg-agent this config from now on. */
const configureAgent = async ({ gnupgHome, stop }: SigningKey, config: string) => {
  await writeFile(join(gnupgHome, 'gpg-agent.conf'), config);
  await stop();
};

test('a key with a passphrase signs once gpg-agent has it: preset, or from its pinentry-program', async () => {
  const locked = await generateSigningKey(join(folder, 'locked'), 'never', 'a secret');
  onTestFinished(() => locked.stop());
  const { gnupgHome, keyring, fingerprint } = locked;
  const signs = () => check({ gnupgHome, keyring, fingerprint });
  await configureAgent(locked, 'allow-preset-passphrase\n');
  await expect(signs()).rejects.toMatchObject({
    fault: 'host',
    message: expect.stringMatching(
      /it has a passphrase, and gpg-agent did not get it \(.+\): let the pinentry-program .+ answer, or preset/,
    ),
  });

  const { stdout } = await locked.gpg('--list-secret-keys', '--with-colons');
  const [, keygrip = ''] = /^grp:+([0-9A-F]{40}):/m.exec(stdout) ?? [];
  const [libexec = ''] = ['/usr/lib/gnupg', '/usr/libexec'].filter((path) =>
    existsSync(join(path, 'gpg-preset-passphrase')),
  );
  await run([join(libexec, 'gpg-preset-passphrase'), '--preset', keygrip], {
    env: { GNUPGHOME: gnupgHome },
    input: 'a secret',
  });
  expect(await signs()).toEqual({ fingerprint, expires: null });

  const pinentry = join(gnupgHome, 'pinentry');
  await writeFile(pinentry, await documentedPinentry(join(gnupgHome, 'passphrase')), { mode: 0o755 });
  await configureAgent(locked, `pinentry-program ${pinentry}\n`);
  await writeFile(join(gnupgHome, 'passphrase'), 'another\n');
  await expect(signs()).rejects.toThrow(/gpg-agent did not get it \(.*Bad passphrase/);
  await writeFile(join(gnupgHome, 'passphrase'), 'a secret\n');
  await locked.stop();
  expect(await signs()).toEqual({ fingerprint, expires: null });
});
