import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createRun } from '../../host/run.ts';
import { generateSigningKey, type SigningKey } from '../../test/signing-key.ts';
import { verifySignature } from './openpgp-verify.ts';

const run = createRun(() => undefined);
let folder: string;
let key: SigningKey;
let other: SigningKey;
let file: string;
let signature: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verify-'));
  [key, other] = await Promise.all([
    generateSigningKey(join(folder, 'key')),
    generateSigningKey(join(folder, 'other')),
  ]);
  file = join(folder, 'package');
  signature = `${file}.sig`;
  await writeFile(file, 'a package');
  await key.gpg('--local-user', `${key.fingerprint}!`, '--detach-sign', '--output', signature, file);
});
afterAll(async () => {
  await Promise.all([key.stop(), other.stop()]);
  await rm(folder, { recursive: true });
});

const verify = (changes: Partial<Parameters<typeof verifySignature>[1]> = {}) =>
  verifySignature(run, { file, signature, keyring: key.keyring, fingerprint: key.fingerprint, ...changes });

test('a good signature returns the fingerprint that gpgv saw', async () => {
  expect(await verify()).toEqual({ fingerprint: key.fingerprint });
});

test('an altered file is refused', async () => {
  const altered = join(folder, 'altered');
  await writeFile(altered, 'a packagE');
  await expect(verify({ file: altered })).rejects.toMatchObject({
    fault: 'work',
    message: expect.stringContaining('is not what was signed'),
  });
});

test('a signature by another key is refused, and the key is named', async () => {
  const bySomebody = `${file}.other.sig`;
  await other.gpg('--detach-sign', '--output', bySomebody, file);
  await expect(verify({ signature: bySomebody })).rejects.toMatchObject({
    fault: 'work',
    message: expect.stringContaining(`by ${other.fingerprint}`),
  });
});

test('a good signature by a key on the ring that is not the pinned one is refused', async () => {
  await expect(verify({ fingerprint: other.fingerprint })).rejects.toThrow(
    `it is by ${key.fingerprint}; one good signature by ${other.fingerprint} was expected`,
  );
});

test('two signatures in one file are refused, although gpgv ends with 0', async () => {
  const two = `${file}.two.sig`;
  await writeFile(two, await readFile(signature));
  await appendFile(two, await readFile(signature));
  expect((await run(['gpgv', '--keyring', key.keyring, '--', two, file])).exitCode).toBe(0);
  await expect(verify({ signature: two })).rejects.toMatchObject({ fault: 'work' });
});

test('a signature by a key that has expired is refused, unless that is accepted', async () => {
  const old = await generateSigningKey(join(folder, 'old'), 'seconds=1');
  onTestFinished(() => old.stop());
  const byOld = `${file}.old.sig`;
  await old.gpg('--detach-sign', '--output', byOld, file);
  await old.expired();
  const pinned = { signature: byOld, keyring: old.keyring, fingerprint: old.fingerprint };
  await expect(verify(pinned)).rejects.toMatchObject({
    fault: 'host', // the clock may be wrong
    message: expect.stringContaining('its key has expired (the clock here says 20'),
  });
  const accepted = { ...pinned, acceptExpiredKey: true };
  expect(await verify(accepted)).toEqual({ fingerprint: old.fingerprint });
  await expect(verify({ ...accepted, fingerprint: key.fingerprint })).rejects.toThrow(
    `it is by ${old.fingerprint}`,
  );
  const altered = `${file}.expired`;
  await writeFile(altered, 'a packagE');
  await expect(verify({ ...accepted, file: altered })).rejects.toThrow('is not what was signed');
});

test('a file that is not a signature is refused', async () => {
  const none = `${file}.none.sig`;
  await writeFile(none, 'nothing of the kind');
  await expect(verify({ signature: none })).rejects.toMatchObject({ fault: 'work' });
  await expect(verify({ signature: `${file}.missing.sig` })).rejects.toMatchObject({ fault: 'work' });
});

test("a keyring that is not there is this host's fault", async () => {
  await expect(verify({ keyring: join(folder, 'nowhere.gpg') })).rejects.toMatchObject({
    fault: 'host',
    message: expect.stringContaining('nowhere.gpg'),
  });
});
