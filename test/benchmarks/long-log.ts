import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { headers } from 'nats';
import { examplePlanYaml } from '../../coordinator/testing/example-plan.ts';
import { RecordedLog } from '../../coordinator/testing/recorded-log.ts';
import { cacheKey, copyFolder } from '../../deploy/cache/cache.ts';
import { checkout } from '../../deploy/checkout.ts';
import { type KeptMessage, signatureHeader } from '../../eventlog/signing/check-event.ts';
import { eventStream } from '../../eventlog/stream/provision.ts';
import { coordinator, noIteration, personWriter } from '../../schemas/events.ts';
import { type LogServer, people, startLogServer } from '../log-server.ts';
import { madeOnce } from '../made-once.ts';
import { startCoordinator } from './daemons.ts';
import { createCopies, planOf, playIteration, writtenIn } from './played-iteration.ts';

const boards = ['fresnel', ...Array.from({ length: 9 }, (_, nth) => `board-${nth + 1}`)];
const others = { boltzmann: 'builder', fermi: 'builder', hertz: 'publisher' } as const;
const roles = { ...others, ...Object.fromEntries(boards.map((board) => [board, 'board' as const])) };
/** The one fleet that the example's history knows. */
const fleetName = 'reauktion';

/** The iteration in the middle of each log that is whole in every respect, so that all its clauses pass. */
export const measured = 'measured';

/** Everything that a fleet of ten boards writes while it closes that many iterations, sealed with the server's keys. */
const writeLog = ({ key, fleet }: LogServer, iterations: number): RecordedLog => {
  const log = new RecordedLog();
  const hosts = Object.keys(roles);
  for (const writer of [coordinator, ...people.map(personWriter), ...hosts]) log.use(writer, key(writer));
  for (const host of hosts) {
    const data = { role: fleet.hosts[host]?.role, version: '1', bootId: 'b', release: 'r', package: null };
    log.append(host, { type: 'AgentStarted', iteration: noIteration, attempt: 1, data });
  }
  const copy = createCopies(fleet);
  const whole = Math.floor(iterations / 2);
  let told = 0;
  for (let nth = 0; nth < iterations; nth += 1) {
    const board = boards[nth % boards.length] ?? '';
    const written =
      nth === whole ? writtenIn(playIteration(planOf(measured, board), fleet)) : copy(`iter${nth}`, board);
    for (const { writer, event } of written) log.append(writer, event);
    // Every host of an iteration that has ended is told what the log holds.
    for (const host of [...Object.keys(others), board]) log.checkpoint(host, ++told);
  }
  return log;
};

const onTheirWay = 1000;

/** Publishes the messages in their order, without waiting for each. */
const publish = async (server: LogServer, messages: readonly KeptMessage[]): Promise<void> => {
  const stream = (await server.connect('admin')).jetstream();
  for (let from = 0; from < messages.length; from += onTheirWay) {
    const acks = messages.slice(from, from + onTheirWay).map(({ subject, bytes, signature }) => {
      const head = headers();
      head.set(signatureHeader, signature);
      return stream.publish(subject, bytes, { headers: head, timeout: 60_000 });
    });
    const last = (await Promise.all(acks)).at(-1)?.seq;
    if (last !== Math.min(from + onTheirWay, messages.length))
      throw new Error(`the log ends at ${last} after ${from + acks.length} messages`);
  }
};

const start = (kept?: string) => startLogServer(fleetName, roles, { kept });

/** A running server with a log of that many closed iterations, and the configuration of a person who reads it. */
export interface LongLog extends LogServer {
  /** How many messages it holds, and how long they are together. */
  events: number;
  bytes: number;
  /** The command line's configuration. */
  configFile: string;
}

const makeLog = async (iterations: number, folder: string): Promise<void> => {
  const server = await start();
  try {
    await publish(server, writeLog(server, iterations).messages);
    await server.server.stop();
    await copyFolder(server.folder, folder);
  } finally {
    await server.stop();
  }
};

/** Starts a server on a copy of the log, which is made once on this machine. */
export const startLongLog = async (iterations: number): Promise<LongLog> => {
  const name = `log-1-${iterations}-${cacheKey(examplePlanYaml)}`;
  const server = await start(await madeOnce(name, (folder) => makeLog(iterations, folder)));
  const configFile = join(server.folder, 'ka.json');
  const [person] = people;
  const config = {
    fleetFile: server.fleetFile,
    nats: { servers: [server.server.url] },
    identities: { [person]: server.keyFile(personWriter(person)) },
    cacheFolder: join(server.folder, 'cache'),
  };
  writeFileSync(configFile, JSON.stringify(config));
  const manager = await (await server.connect('admin')).jetstreamManager();
  const { state } = await manager.streams.info(eventStream);
  return { ...server, configFile, events: state.last_seq, bytes: state.bytes };
};

/** Lets the coordinator read the whole log, of which it keeps a copy in that folder. */
const makeCopy = async (iterations: number, folder: string): Promise<void> => {
  const server = await startLongLog(iterations);
  try {
    const daemon = startCoordinator(server, folder);
    for (let held = 0; held < server.events; await sleep(200)) {
      const file = join(folder, 'log.db');
      if (!existsSync(file)) continue;
      const db = new Database(file, { readonly: true });
      held = Number(db.prepare('SELECT max(sequence) FROM message').pluck().get());
      db.close();
    }
    await daemon.stop();
  } finally {
    await server.stop();
  }
};

const sourcesOfCopy = ['package.json', 'coordinator/daemon/log-copy.ts', 'coordinator/daemon/kept-row.ts'];

/** Puts into a folder the copy that the coordinator has of that log. It is made once on this machine. */
export const putCopy = async (iterations: number, folder: string): Promise<void> => {
  const sources = sourcesOfCopy.map((file) => readFileSync(join(checkout, file), 'utf8'));
  const name = `log-copy-1-${iterations}-${cacheKey(examplePlanYaml, ...sources)}`;
  await copyFolder(await madeOnce(name, (made) => makeCopy(iterations, made)), folder);
};
