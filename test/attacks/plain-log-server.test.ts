import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { fleetLogins } from '../../deploy/nats-config.ts';
import { type NatsServer, startNatsServer } from '../../deploy/nats-server.ts';
import { connectNats } from '../../eventlog/connection/connect.ts';
import { generateWriterKey, readWriterKey } from '../../eventlog/signing/writer-key.ts';
import { testFolder } from '../ka.ts';
import { attack } from './attack.ts';

/** Makes an authority, and a certificate of it for 127.0.0.1 and localhost. */
const makeCertificate = async (folder: string) => {
  mkdirSync(folder);
  const at = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execa('openssl', args);
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  await openssl('req', '-x509', ...made, '-subj', '/CN=ca', '-keyout', at('ca.key'), '-out', at('ca.pem'));
  writeFileSync(at('names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  await openssl(
    'req',
    ...made.slice(0, -2),
    '-subj',
    '/CN=log',
    '-keyout',
    at('log.key'),
    '-out',
    at('log.csr'),
  );
  const signed = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-extfile', at('names')];
  await openssl('x509', '-req', '-in', at('log.csr'), ...signed, '-days', '2', '-out', at('log.pem'));
  return { caFile: at('ca.pem'), certFile: at('log.pem'), keyFile: at('log.key') };
};

/** Passes everything on between its clients and a server on loopback, and keeps what the clients send. */
const startListener = async (port: number, address: string) => {
  const heard: Buffer[] = [];
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    client.on('data', (piece) => heard.push(piece)).pipe(upstream);
    upstream.pipe(client);
    client.on('close', () => upstream.destroy());
  }).listen(0, address);
  await once(server, 'listening');
  return {
    at: `${address}:${(server.address() as AddressInfo).port}`,
    heard: () => Buffer.concat(heard).toString('latin1'),
    stop: () => void server.close(),
  };
};

describe('a network that answers in the place of the log’s server', () => {
  let place: Awaited<ReturnType<typeof testFolder>>;
  let keyFile: string;
  let own: Awaited<ReturnType<typeof makeCertificate>>;
  let foreign: Awaited<ReturnType<typeof makeCertificate>>;
  const running: { stop(): Promise<void> }[] = [];
  let plain: NatsServer;
  let encrypted: NatsServer;
  beforeAll(async () => {
    place = await testFolder('attack-plain');
    keyFile = join(place.folder, 'fresnel.nkey');
    const seed = generateWriterKey();
    writeFileSync(keyFile, seed, { mode: 0o600 });
    const pinned = { publicKey: readWriterKey(seed).publicKey };
    const other = () => ({ publicKey: readWriterKey(generateWriterKey()).publicKey });
    const logins = fleetLogins({
      fleet: 'test',
      admin: other(),
      coordinator: other(),
      operators: {},
      hosts: { fresnel: pinned },
    });
    own = await makeCertificate(join(place.folder, 'own'));
    foreign = await makeCertificate(join(place.folder, 'foreign'));
    const start = async (name: string, tls?: { certFile: string; keyFile: string }) => {
      const server = await startNatsServer({ folder: join(place.folder, name), logins, ...(tls && { tls }) });
      running.push(server);
      return server;
    };
    plain = await start('plain');
    encrypted = await start('encrypted', { certFile: own.certFile, keyFile: own.keyFile });
  });
  afterAll(async () => {
    for (const server of running) await server.stop();
    await place?.remove();
  });
  const connectTo = async (server: string, caFile?: string) => {
    const connection = await connectNats({ servers: [server], keyFile, name: 'fresnel', caFile });
    await connection.close();
    return 'connected';
  };
  const refused = { name: 'LogUnreachable' };

  /** What the network hears of a login by way of an address of this machine. */
  const heardOf = async (scheme: string, address: string, caFile?: string) => {
    const listener = await startListener(plain.port, address);
    try {
      await expect(connectTo(`${scheme}${listener.at}`, caFile)).rejects.toMatchObject(refused);
      return listener.heard();
    } finally {
      listener.stop();
    }
  };

  attack('plain-log-server', 'nobody logs in at a tls:// that says it has no TLS', async () => {
    expect(await heardOf('tls://', '127.0.0.1')).toBe('');
    expect(await heardOf('tls://', '127.0.0.1', own.caFile)).toBe('');
  });

  attack(
    'plain-log-server',
    'nobody logs in off loopback without TLS, whatever the config calls it',
    async () => {
      const away = Object.values(networkInterfaces())
        .flatMap((each) => each ?? [])
        .find(({ internal, family }) => !internal && family === 'IPv4');
      // A machine without a network has only loopback, which the test above uses.
      for (const scheme of away ? ['nats://', 'tls://', ''] : [])
        expect(await heardOf(scheme, away?.address ?? '')).toBe('');
    },
  );

  attack(
    'plain-log-server',
    'a certificate of another authority is refused, with caFile and without',
    async () => {
      for (const server of [`tls://127.0.0.1:${encrypted.port}`, `tls://localhost:${encrypted.port}`]) {
        await expect(connectTo(server)).rejects.toMatchObject(refused);
        await expect(connectTo(server, foreign.caFile)).rejects.toMatchObject(refused);
        expect(await connectTo(server, own.caFile)).toBe('connected');
      }
    },
  );

  attack('plain-log-server', 'on loopback without tls://, none is asked for', async () => {
    expect(await connectTo(plain.url)).toBe('connected');
  });
});
