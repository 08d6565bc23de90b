import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeKeyFile } from '../../eventlog/signing/key-file.ts';
import { generateWriterKey, readWriterKey } from '../../eventlog/signing/writer-key.ts';
import { type LogServer, startLogServer, until } from '../../test/log-server.ts';
import { generateSigningKey } from '../../test/signing-key.ts';
import { confinementFindings } from './confinement-findings.ts';
import { keyFindings } from './key-findings.ts';
import { localConfigs } from './local-configs.ts';
import { loginFindings, type WrittenLogins } from './login-findings.ts';
import { secretFindings, secretIn } from './secret-findings.ts';
import { serverFindings } from './server-findings.ts';
import { loggedSigningFindings, signingFindings } from './signing-findings.ts';

const scratch = mkdtempSync(join(tmpdir(), 'ka-doctor-'));
let log: LogServer;
beforeAll(async () => {
  log = await startLogServer('test', ['boltzmann']);
});
afterAll(async () => {
  await log.stop();
  rmSync(scratch, { recursive: true, force: true });
});

/** Without a config, it lets everybody in. */
const natsServer = 'nats-server';
const nats = { servers: ['nats://127.0.0.1:9'] };
let folders = 0;
/** A folder with a host's config and its key, beside the config of the command line. */
const hostFolder = () => {
  folders += 1;
  const folder = join(scratch, `host-${folders}`);
  mkdirSync(folder, { mode: 0o700 });
  const keyFile = join(folder, 'boltzmann.nkey');
  copyFileSync(log.keyFile('boltzmann'), keyFile);
  const control = join(folder, 'ka.yaml');
  writeFileSync(
    join(folder, 'agent.yaml'),
    JSON.stringify({ host: 'boltzmann', keyFile, fleetFile: log.fleetFile, nats }),
  );
  writeFileSync(control, JSON.stringify({ identities: {}, fleetFile: log.fleetFile, nats }));
  const find = () => keyFindings(localConfigs(control).filter(({ file }) => file.startsWith(scratch)));
  return { folder, keyFile, find };
};

it('a key in its place, as it is pinned, is fine', () => {
  expect(hostFolder().find()).toMatchObject([{ fine: true, found: expect.stringMatching(/^U.* pins it$/) }]);
});

it.each<[string, (at: ReturnType<typeof hostFolder>) => void, RegExp, RegExp]>([
  ['others may read', ({ keyFile }) => chmodSync(keyFile, 0o640), /mode is 0640, and 0600/, /^chmod 0600 /],
  [
    'is in a folder that others may write',
    ({ folder }) => chmodSync(folder, 0o770),
    /mode 0770/,
    /^chmod go-w /,
  ],
  ['is not there', ({ keyFile }) => rmSync(keyFile), /no such file/, /ka key make/],
  ['is none', ({ keyFile }) => writeFileSync(keyFile, 'rubbish'), /can't be used/, /ka key make/],
  [
    'is not the pinned one',
    ({ keyFile }) => {
      rmSync(keyFile);
      makeKeyFile(keyFile);
    },
    /^it is U\S+, and \S+ pins U\S+ for boltzmann$/,
    /^pin it in /,
  ],
])('a key that %s is reported, with what to do', (_name, spoil, found, mend) => {
  const at = hostFolder();
  spoil(at);
  expect(at.find()).toEqual([
    {
      what: `key of boltzmann, ${at.keyFile}`,
      fine: false,
      found: expect.stringMatching(found),
      mend: expect.stringMatching(mend),
    },
  ]);
});

it.runIf(process.getuid?.() === 0)('a key that belongs to another user is reported', async () => {
  const at = hostFolder();
  await execa('chown', ['65534', at.keyFile]);
  expect(at.find()).toMatchObject([{ fine: false, found: 'it belongs to user 65534, and 0 was expected' }]);
});

it('a key that the fleet’s file has replaced by a newer one is reported', async () => {
  const at = hostFolder();
  await log.pin('boltzmann', readWriterKey(generateWriterKey()).publicKey);
  expect(at.find()).toMatchObject([
    {
      fine: false,
      found: expect.stringMatching(/pins a newer one/),
      mend: expect.stringMatching(/^rotate it/),
    },
  ]);
});

it('an OpenPGP key that has expired or expires within 30 days is reported, where it signs and where it checks', async () => {
  const signing = await generateSigningKey(join(scratch, 'gpg'), '40d');
  const { gnupgHome, fingerprint, keyring } = signing;
  const common = { fleetFile: '/f', nats, file: '/c' };
  const configs = [
    { ...common, signing: { gnupgHome, fingerprint, keyring } },
    { ...common, signing: { fingerprint, keyring } },
  ];
  const inDays = (days: number) => signingFindings(configs, Date.now() + days * 24 * 3600 * 1000);
  expect((await inDays(5)).map((one) => one.fine)).toEqual([true, true]);
  for (const { fine, found, mend } of await inDays(15)) {
    expect({ fine, mend }).toEqual({ fine: false, mend: expect.stringMatching(/^extend it/) });
    expect(found).toMatch(/^expires on .*, in 2[45] days$/);
  }
  expect((await inDays(41)).map(({ found }) => found.slice(0, 11))).toEqual(['has expired', 'has expired']);
  const missing = { ...common, signing: { fingerprint: 'A'.repeat(40), keyring } };
  expect(await signingFindings([missing])).toMatchObject([{ fine: false, found: 'is not there' }]);
  await signing.stop();
});

it('a private key that others can read is reported, with the mode it should have', async () => {
  const at = hostFolder();
  const { folder } = at;
  const identity = join(folder, 'id_ed25519');
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', identity]);
  const signing = await generateSigningKey(join(folder, 'gnupg'));
  await signing.stop();
  const named = {
    ...{ host: 'hertz', keyFile: at.keyFile, fleetFile: log.fleetFile, nats },
    ...{ file: join(folder, 'agent.yaml'), peers: { boltzmann: { identity } } },
    signing: { gnupgHome: signing.gnupgHome, fingerprint: signing.fingerprint, keyring: signing.keyring },
  };
  const faults = () =>
    secretFindings([named])
      .filter((each) => !each.fine && each.what.includes(scratch))
      .map(({ what, mend }) => [
        what.slice(what.indexOf(folder) + folder.length),
        mend.split(' ').slice(0, 2),
      ]);
  expect(faults()).toEqual([]);

  const secrets = join(signing.gnupgHome, 'private-keys-v1.d');
  const [secret = ''] = readdirSync(secrets);
  for (const path of [identity, join(secrets, secret)]) chmodSync(path, 0o640);
  chmodSync(signing.gnupgHome, 0o755);
  makeKeyFile(`${at.keyFile}.old`);
  chmodSync(`${at.keyFile}.old`, 0o644);
  expect(faults()).toEqual([
    ['/boltzmann.nkey.old', ['chmod', '0600']],
    ['/id_ed25519', ['chmod', '0600']],
    ['/gnupg', ['chmod', '0700']],
    [`/gnupg/private-keys-v1.d/${secret}`, ['chmod', '0600']],
  ]);
});

it('a copy of a private key that was left where others can read it is reported, whatever its name', async () => {
  const { folder, keyFile } = hostFolder();
  const signing = await generateSigningKey(join(folder, 'gnupg'));
  const exported = (...more: string[]) => signing.gpg(...more, '--export-secret-keys', signing.fingerprint);
  await exported('--output', join(folder, 'signing-key.asc'), '--armor');
  await exported('--output', join(folder, 'signing-key'));
  await signing.gpg('--output', join(folder, 'public'), '--export', signing.fingerprint);
  await signing.stop();
  copyFileSync(keyFile, join(folder, 'copied'));
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'id')]);
  const tls = [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-subj',
    '/CN=ca',
    '-keyout',
    join(folder, 'ca.key'),
  ];
  await execa('openssl', [...tls, '-out', join(folder, 'ca.pem')]);
  const names = ['signing-key.asc', 'signing-key', 'copied', 'id', 'ca.key'];
  const config = { fleetFile: log.fleetFile, nats, file: join(folder, 'ka.yaml') };
  const left = (mode: number) => {
    for (const name of [...names, 'public', 'ca.pem']) chmodSync(join(folder, name), mode);
    const found = secretFindings([config]).filter(({ what }) => what.includes(folder));
    return found.map(({ what }) => what.slice(what.lastIndexOf('/') + 1)).toSorted();
  };
  expect(left(0o644)).toEqual(names.toSorted());
  // A server's TLS key may be its group's.
  expect(left(0o640)).toEqual([]);
  expect(secretIn(Buffer.from('-----BEGIN CERTIFICATE-----\n'))).toBeUndefined();
});

it('the publisher’s last keycheck in the log is reported as well', () => {
  const said = (sequence: number, expires: string | null) => {
    const data = { evidence: { fingerprint: 'A'.repeat(40), expires }, seconds: 1 };
    return {
      sequence,
      event: { kind: 'step', step: 'keycheck', fact: 'Succeeded', source: 'hertz', data },
    } as never;
  };
  const now = Date.parse('2026-05-11T00:00:00Z');
  expect(loggedSigningFindings([], now)).toEqual([]);
  expect(loggedSigningFindings([said(3, '2026-05-20T00:00:00Z')], now)).toMatchObject([
    { fine: false, found: 'expires on 2026-05-20, in 9 days' },
  ]);
  expect(loggedSigningFindings([said(3, '2026-05-20T00:00:00Z'), said(9, null)], now)).toMatchObject([
    { fine: true, found: 'does not expire' },
  ]);
});

it('a builder’s config that does not require confinement is named, with its file', async () => {
  const folder = join(scratch, 'confinement');
  mkdirSync(folder);
  const write = (name: string, makepkg: unknown) =>
    writeFileSync(join(folder, name), JSON.stringify({ host: 'boltzmann', fleetFile: '/f', nats, makepkg }));
  write('ka.yaml', undefined);
  const named = async () => {
    const configs = localConfigs(join(folder, 'ka.yaml')).filter(({ file }) => file.startsWith(folder));
    return (await confinementFindings(configs)).filter(({ what }) => what.includes('makepkg.confinement'));
  };
  write('agent.yaml', { confinement: 'required' });
  expect(await named()).toEqual([]);
  write('agent.yaml', {});
  expect(await named()).toEqual([]);
  write('agent.yaml', { confinement: 'if-possible' });
  expect(await named()).toEqual([
    {
      what: `makepkg.confinement of boltzmann in ${join(folder, 'agent.yaml')}`,
      fine: false,
      found: expect.stringContaining('it runs unconfined'),
      mend: expect.stringMatching(/^remove that line/),
    },
  ]);
});

it('a host whose backups have no end is named', () => {
  const file = join(scratch, 'logins.json');
  expect(loginFindings(file)).toEqual([]);
  const login = (host: string, stores: string | null) => ({ host, root: '/srv/arch', stores });
  const written: WrittenLogins = {
    logins: [login('fresnel', join(scratch, 'plain folder')), login('ohm', '/proc'), login('hertz', null)],
  };
  writeFileSync(file, JSON.stringify(written));
  expect(loginFindings(file)).toMatchObject([
    {
      fine: false,
      found: expect.stringMatching(/^nothing limits it/),
      mend: expect.stringMatching(/megabytes/),
    },
    { fine: true, found: 'it has a file system of its own' },
  ]);
});

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((listening) => server.once('listening', listening));
  const { port } = server.address() as { port: number };
  await new Promise((closed) => server.close(closed));
  return port;
};

it('a server that lets in unknown keys is reported, and one that does not answer', async () => {
  const url = `nats://127.0.0.1:${await freePort()}`;
  const env = { PATH: `${process.env.PATH ?? ''}:/usr/sbin` };
  const open = execa(natsServer, ['--addr', '127.0.0.1', '--port', new URL(url).port], {
    env,
    reject: false,
  });
  await until(async () => !(await serverFindings({ servers: [url] }))[0]?.found.includes("can't be reached"));
  expect(await serverFindings({ servers: [url] })).toMatchObject([
    {
      fine: false,
      found: 'a key that was made up just now was let in',
      mend: expect.stringMatching(/nats-config/),
    },
  ]);
  open.kill();
  await open;
  expect(await serverFindings({ servers: [log.server.url] })).toMatchObject([{ fine: true }]);
  expect(await serverFindings({ servers: [url] })).toMatchObject([
    { fine: false, found: expect.stringMatching(/can't be reached/) },
  ]);
});
