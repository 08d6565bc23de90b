import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect } from 'vitest';
import { secretIn } from '../../deploy/doctor/secret-findings.ts';
import { testFolder } from '../ka.ts';
import { attack } from './attack.ts';

let place: Awaited<ReturnType<typeof testFolder>>;
beforeAll(async () => {
  place = await testFolder('attack-secret');
});
afterAll(async () => {
  for (const home of ['lars', 'hertz'])
    await execa('gpgconf', ['--homedir', join(place.folder, home), '--kill', 'all'], { reject: false });
  await place?.remove();
});

const page = readFileSync(new URL('../../docs/enrolling-a-host.md', import.meta.url), 'utf8');

/** The commands of the page that make, export or move a private key by gpg or openssl, each with its further lines. */
const documented = (): string[] =>
  page
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => /^ {4}.*\b(gpg --|openssl |log\.(key|csr|ext)|signing-key)/.test(line))
    // These begin with a line of the page's own text, or show what a file says.
    .filter((line) => !/nats-config|with-keygrip|local-user/.test(line))
    .map((line) => line.trim().replace(/ {2,}#.*$/, ''));

/** Stands for a program that the test can't have: another machine, another user, a group of hertz. */
const stubs = {
  ssh: 'shift; exec bash -c "$*"',
  setpriv: 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
  chgrp: 'exit 0',
  pinentry: `echo OK
while read -r command _; do
  case $command in
    GETPIN) printf 'D a secret\\nOK\\n' ;;
    BYE) echo OK; exit ;;
    *) echo OK ;;
  esac
done`,
};

/** Every file below a folder that everybody can read and that holds a private key. */
const openSecrets = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => statSync(file).mode & 0o004 && secretIn(readFileSync(file)) !== undefined);

attack('secret-left-open', 'the documented commands leave no private key that others can read', async () => {
  const at = (name: string) => join(place.folder, name);
  for (const name of ['bin', 'lars', 'hertz', 'etc', 'fleet']) mkdirSync(at(name), { mode: 0o755 });
  for (const [name, text] of Object.entries(stubs)) {
    writeFileSync(at(`bin/${name}`), `#!/bin/bash\n${text}\n`);
    chmodSync(at(`bin/${name}`), 0o755);
  }
  for (const home of ['lars', 'hertz']) chmodSync(at(home), 0o700);
  writeFileSync(at('lars/gpg-agent.conf'), `pinentry-program ${at('bin/pinentry')}\n`);
  writeFileSync(at('lars/gpg.conf'), 'batch\n'); // there is no terminal
  const env = { PATH: `${at('bin')}:${process.env.PATH}`, GNUPGHOME: at('lars') };
  const here = (command: string) =>
    command.replaceAll('/etc/kernel-agent', at('etc')).replaceAll('/srv/kernel-agent/gnupg', at('hertz'));

  const commands = documented();
  expect(commands.length).toBeGreaterThanOrEqual(7);
  let fingerprint = '';
  for (const command of commands) {
    const line = here(command).replaceAll('FINGERPRINT', fingerprint);
    await execa('bash', ['-c', `umask 022; set -euo pipefail; ${line}`], { cwd: at('fleet'), env });
    if (!command.includes('--quick-generate-key')) continue;
    const { stdout } = await execa('gpg', ['--list-keys', '--with-colons'], { env });
    fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(stdout)?.[1] ?? '';
  }
  expect(openSecrets(place.folder)).toEqual([]);

  // They did make and move the keys.
  expect(secretIn(readFileSync(at('fleet/ca.key')))).toBe('private key');
  expect(secretIn(readFileSync(at('etc/log.key')))).toBe('private key');
  const there = await execa('gpg', ['--homedir', at('hertz'), '--list-secret-keys', '--with-colons']);
  expect(there.stdout).toContain(fingerprint);
});
