import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import { fleetUsers } from '../deploy/nats-permissions.ts';
import { startNatsServer } from '../deploy/nats-server.ts';
import { connectNats } from '../eventlog/connect.ts';
import { createNatsKey } from '../eventlog/nats-key.ts';
import { eventStream, provision } from '../eventlog/provision.ts';
import { linkTo, type PinnedKeys, type SealedEvent, sealEvent } from '../eventlog/seal.ts';
import { generateWriterKey, readWriterKey, type WriterKey } from '../eventlog/writer-key.ts';
import { coordinator, operator } from '../schemas/events.ts';

const waitAtMostMs = 30_000;

/** Waits until `condition` gives something else than false or undefined. @throws {Error} after half a minute in vain. */
export const until = async <Value>(condition: () => Value | Promise<Value>): Promise<NonNullable<Value>> => {
  for (const started = Date.now(); ; ) {
    const value = await condition();
    if (value !== false && value !== undefined && value !== null) return value;
    if (Date.now() - started > waitAtMostMs) throw new Error(`waited in vain for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

/** The folder where a nats-server keeps a stream of the one account there is. @param natsFolder the server's own. */
export const streamFolder = (natsFolder: string, stream = eventStream): string =>
  join(natsFolder, 'store/jetstream/$G/streams', stream);

/**
 * Cuts the end off a stream's last block file, as a power cut does where the server had not flushed it. The server must not
 * run, or be about to be killed. @param part of the file's bytes.
 */
export const cutTail = (natsFolder: string, part = 0.1): void => {
  const messages = join(streamFolder(natsFolder), 'msgs');
  const [last] = readdirSync(messages)
    .filter((name) => name.endsWith('.blk'))
    .sort((a, b) => Number.parseInt(b, 10) - Number.parseInt(a, 10));
  if (last === undefined) throw new Error(`${messages} holds no block file`);
  const file = join(messages, last);
  truncateSync(file, Math.floor(statSync(file).size * (1 - part)));
};

/** A builder's start, sealed as its first event or after `last`. */
export const sealedStart = (
  { key }: Pick<LogServer, 'key'>,
  {
    fleet,
    host,
    attempt,
    last,
  }: { fleet: string; host: string; attempt: number; last?: SealedEvent | undefined },
): SealedEvent =>
  sealEvent(
    {
      type: 'AgentStarted',
      iteration: '_',
      attempt,
      data: { role: 'builder', version: '1', bootId: 'b', release: 'r', package: null },
    },
    { fleet, name: host, key: key(host) },
    last && linkTo(last.seq, last.bytes),
    '2026-05-11T08:00:00Z',
  );

/** A real nats-server with a provisioned fleet, whose writers have keys of their own. */
export const startLogServer = async (fleet: string, hosts: readonly string[]) => {
  const folder = mkdtempSync(join(tmpdir(), 'ka-log-'));
  const names = ['admin', coordinator, operator, ...hosts];
  const nats = new Map(names.map((name) => [name, createNatsKey()]));
  const pems = new Map(names.map((name) => [name, generateWriterKey()]));
  const need = <Value>(map: ReadonlyMap<string, Value>, name: string): Value => {
    const value = map.get(name);
    if (value === undefined) throw new Error(`the test's fleet has no ${name}`);
    return value;
  };
  const publicKey = (name: string) => need(nats, name).publicKey;
  for (const [name, { seed }] of nats) writeFileSync(join(folder, `${name}.seed`), seed, { mode: 0o600 });
  for (const [name, pem] of pems) writeFileSync(join(folder, `${name}.pem`), pem, { mode: 0o600 });
  const server = await startNatsServer({
    folder: join(folder, 'nats'),
    users: fleetUsers(fleet, {
      admin: publicKey('admin'),
      coordinator: publicKey(coordinator),
      operator: publicKey(operator),
      hosts: Object.fromEntries(hosts.map((host) => [host, publicKey(host)])),
    }),
  });
  const connections: NatsConnection[] = [];
  const seedFile = (name: string) => join(folder, `${name}.seed`);
  const connect = async (name: string): Promise<NatsConnection> => {
    const connection = await connectNats({ servers: [server.url], seedFile: seedFile(name), name });
    connections.push(connection);
    return connection;
  };
  await provision(await connect('admin'), fleet, hosts);
  const key = (name: string): WriterKey => readWriterKey(need(pems, name));
  const pinned: PinnedKeys = new Map(
    names.filter((name) => name !== 'admin').map((name) => [name, key(name).publicKey]),
  );
  return {
    /** Where a test may write. */
    folder,
    server,
    connect,
    seedFile,
    keyFile: (name: string) => join(folder, `${name}.pem`),
    key,
    pinned,
    stop: async () => {
      await Promise.all(connections.map((connection) => connection.close()));
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
};
export type LogServer = Awaited<ReturnType<typeof startLogServer>>;
