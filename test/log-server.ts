import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import type { z } from 'zod';
import { exampleSigningKey } from '../coordinator/testing/example-plan.ts';
import { copyFolder } from '../deploy/cache/cache.ts';
import { fleetAccount, fleetLogins } from '../deploy/nats-config.ts';
import { startNatsServer } from '../deploy/nats-server.ts';
import { connectNats } from '../eventlog/connection/connect.ts';
import { linkTo, type SealedEvent, sealEvent } from '../eventlog/signing/seal.ts';
import { trustIn } from '../eventlog/signing/trust.ts';
import { generateWriterKey, readWriterKey, type WriterKey } from '../eventlog/signing/writer-key.ts';
import { eventStream, provision } from '../eventlog/stream/provision.ts';
import { coordinator, personWriter } from '../schemas/events.ts';
import { Fleet } from '../schemas/fleet.ts';
import { operatorRightNames } from '../schemas/roles.ts';
import type { Role } from '../schemas/step-names.ts';
import { trustFileText } from '../schemas/trust-file.ts';
import { patienceMs } from './patience.ts';

/**
 * Waits until `condition` returns something other than false, undefined or null.
 * @throws {Error} after `patienceMs`.
 */
export const until = async <Value>(condition: () => Value | Promise<Value>): Promise<NonNullable<Value>> => {
  for (const started = Date.now(); ; ) {
    const value = await condition();
    if (value !== false && value !== undefined && value !== null) return value;
    if (Date.now() - started > patienceMs) throw new Error(`waited in vain for ${condition}`);
    // A condition often reads a whole log, and checks every signature in it.
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
};

/** The folder in which a nats-server keeps a stream of the log's account. @param natsFolder the server's own. */
export const streamFolder = (natsFolder: string, stream = eventStream): string =>
  join(natsFolder, 'store/jetstream', fleetAccount, 'streams', stream);

/**
 * Cuts the end off a stream's last block file, like a power cut before the server has flushed it. The server must not
 * run, or is about to be killed. @param part the fraction of the file's bytes to cut.
 */
export const cutTail = (natsFolder: string, part = 0.1, stream = eventStream): void => {
  const messages = join(streamFolder(natsFolder, stream), 'msgs');
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

/** The people of a test's fleet. Each has all rights. */
export const people = ['mfritsche', 'architect'] as const;
/** The first of them, as a writer. */
export const person = personWriter(people[0]);

/**
 * Starts a real nats-server with a provisioned fleet, whose writers have their own keys.
 * @param hosts with their roles; builders if no role is given.
 * @param changes to the fleet's file. @param hasKeeper whether that file names a keeper; the test starts it.
 * @param kept the folder of an earlier server with the same hosts: this one starts with a copy of its keys and its log.
 */
export const startLogServer = async (
  fleet: string,
  hosts: readonly string[] | Readonly<Record<string, Role>>,
  {
    kept,
    changes = {},
    hasKeeper = false,
  }: { kept?: string | undefined; changes?: Partial<z.input<typeof Fleet>>; hasKeeper?: boolean } = {},
) => {
  const folder = mkdtempSync(join(tmpdir(), 'ka-log-'));
  if (kept !== undefined) await copyFolder(kept, folder);
  const roles: Record<string, Role> = Array.isArray(hosts)
    ? Object.fromEntries(hosts.map((host) => [host, 'builder' as const]))
    : { ...(hosts as Record<string, Role>) };
  const hostNames = Object.keys(roles);
  const names = ['admin', 'keeper', coordinator, ...people.map(personWriter), ...hostNames];
  const keyFile = (name: string) => join(folder, `${name}.nkey`);
  const seedOf = (name: string) =>
    existsSync(keyFile(name)) ? readFileSync(keyFile(name), 'utf8') : generateWriterKey();
  const seeds = new Map(names.map((name) => [name, seedOf(name)]));
  const key = (name: string): WriterKey => {
    const seed = seeds.get(name);
    if (seed === undefined) throw new Error(`the test's fleet has no ${name}`);
    return readWriterKey(seed);
  };
  const publicKey = (name: string) => key(name).publicKey;
  for (const [name, seed] of seeds) writeFileSync(keyFile(name), seed, { mode: 0o600 });
  const pinned = (name: string) => ({ publicKey: publicKey(name) });
  let fleetDocument = Fleet.parse({
    ...changes,
    fleet,
    signingKey: exampleSigningKey,
    admin: pinned('admin'),
    ...(hasKeeper ? { keeper: pinned('keeper') } : {}),
    coordinator: pinned(coordinator),
    operators: Object.fromEntries(
      people.map((name) => [name, { ...pinned(personWriter(name)), may: operatorRightNames }]),
    ),
    hosts: Object.fromEntries(hostNames.map((host) => [host, { role: roles[host], ...pinned(host) }])),
  });
  const fleetFile = join(folder, 'fleet.yaml');
  const trustFile = join(folder, 'trust.json');
  const writeFleet = () => {
    writeFileSync(fleetFile, JSON.stringify(fleetDocument));
    writeFileSync(trustFile, trustFileText(fleetDocument));
  };
  writeFleet();
  const logins = fleetLogins(fleetDocument);
  const server = await startNatsServer({ folder: join(folder, 'nats'), logins });
  const connections: NatsConnection[] = [];
  const connect = async (name: string): Promise<NatsConnection> => {
    const connection = await connectNats({ servers: [server.url], keyFile: keyFile(name), name });
    connections.push(connection);
    return connection;
  };
  const stop = async () => {
    await Promise.all(connections.map((connection) => connection.close()));
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await provision(await connect('admin'), fleet, hostNames, fleetDocument.log);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    /** A folder in which a test may write. */
    folder,
    server,
    connect,
    keyFile,
    key,
    /** The fleet's document, its file, and the keys that it pins. */
    fleet: fleetDocument,
    fleetFile,
    /** What its hosts read of it. */
    trustFile,
    trust: trustIn(fleetDocument),
    /** Pins a newer key of a writer in the fleet's file, as its operator does, and renews the server's users. */
    pin: async (writer: string, newer: string): Promise<Fleet> => {
      const changed = structuredClone(fleetDocument);
      const pins =
        writer === coordinator
          ? changed.coordinator
          : (changed.hosts[writer] ?? changed.operators[writer.slice(1)]);
      if (!pins) throw new Error(`the test's fleet has no ${writer}`);
      Object.assign(pins, { publicKey: newer, earlierKeys: [pins.publicKey, ...(pins.earlierKeys ?? [])] });
      fleetDocument = Fleet.parse(changed);
      writeFleet();
      Object.assign(logins, fleetLogins(fleetDocument));
      await server.restart();
      return fleetDocument;
    },
    stop,
  };
};
export type LogServer = Awaited<ReturnType<typeof startLogServer>>;
