import { randomUUID } from 'node:crypto';
import type { NatsConnection, StoredMsg } from 'nats';
import { z } from 'zod';
import { Limit } from '../../schemas/limits.ts';
import { FleetName } from '../../schemas/names.ts';
import { isHost, type Trust } from '../signing/trust.ts';
import { payloadTypes, type WriterKey } from '../signing/writer-key.ts';
import { logManager, presenceStream, presenceSubject as subject } from '../stream/provision.ts';
import { keeper } from './keeping.ts';
import { type NotShown, openSigned, publishSigned, type ShownMessage } from './signed-message.ts';

/** What a host keeps of one kind on its disks, and how much of it its config allows. */
const DiskUse = z.object({
  kind: z.string(),
  number: z.int().min(0),
  bytes: z.number().min(0),
  limit: z.object(Limit.shape),
});
export type DiskUse = z.infer<typeof DiskUse>;

/** What a host reports about itself every few seconds. Only the last presence of each host is kept. */
export const Presence = z.object({
  host: z.string(),
  role: z.string(),
  time: z.string(),
  bootId: z.string(),
  release: z.string(),
  package: z.string().nullable(),
  /** What the host is doing: `iter5 build 1`, or null. */
  running: z.string().nullable(),
  /** Own events that are not in the log yet. */
  unsent: z.int().min(0),
  /** The attempts that are open in its journal: `iter5 build 1`. Absent from older agents. */
  open: z.array(z.string()).optional(),
  /** The stream's sequence up to which the host's journal holds everything that was for the host. */
  position: z.int().min(0).optional(),
  /** The last checkpoint that the host received; absent if none. */
  checkpoint: z.object({ epoch: z.int().min(1), size: z.int().min(0) }).optional(),
  /** Why the agent does not work, for a person; null if it works. */
  trouble: z.string().nullable().optional(),
  /** What it keeps. Absent from older agents, and until it has looked; left out where this version can't read it. */
  disks: z.array(DiskUse).optional().catch(undefined),
});
export type Presence = z.infer<typeof Presence>;

/** How often a host reports while it has something to do, and while it has nothing. */
export const presenceEveryMs = 2_000;
export const idlePresenceEveryMs = 10_000;

/**
 * Whether a host that was last heard so long ago counts as present. One presence may have been missed.
 * @param graceSeconds how long the fleet's file lets the host be silent.
 */
export const isPresent = (silentSeconds: number | undefined, graceSeconds: number): boolean =>
  silentSeconds !== undefined && silentSeconds <= Math.min(Math.max(graceSeconds, 15), 30);

/** A presence as its host signs it. */
const Said = Presence.extend({
  fleet: FleetName,
  /** Names the agent's process, and counts its presences from 1: an earlier presence does not count after a later one. */
  run: z.string().max(100),
  count: z.int().min(1),
});
type Said = z.infer<typeof Said>;

/** Publishes a host's presences. */
export const createSayPresent = ({ fleet, key }: { fleet: string; key: WriterKey }) => {
  const run = randomUUID();
  let count = 0;
  /** Replaces the host's previous presence. */
  return (connection: NatsConnection, presence: Presence): void => {
    if (connection.isClosed() || connection.isDraining()) return;
    count += 1;
    const said: Said = { ...presence, fleet, run, count };
    publishSigned(connection, { type: payloadTypes.presence, key }, subject(fleet, presence.host), said);
  };
};

/** A presence that is not the word of the host under whose subject it came. */
export interface RefusedPresence extends NotShown {
  host: string;
}

/** Reads a presence. @param trust without keys that were revoked. */
const openPresence = (trust: Trust, message: ShownMessage): { said: Said } | { refused: RefusedPresence } => {
  const host = message.subject.split('.').at(-1) ?? '';
  if (!isHost(trust, host))
    return { refused: { host, cause: 'writer', why: `the fleet's file has no host "${host}"` } };
  const opened = openSigned(trust, { type: payloadTypes.presence, schema: Said, by: host }, message);
  if ('refused' in opened) return { refused: { ...opened.refused, host } };
  const { content: said } = opened;
  if (said.fleet === trust.fleet && said.host === host && message.subject === subject(trust.fleet, host))
    return { said };
  const why = `it is a presence of ${said.host} in ${said.fleet}, which is not what its subject says`;
  return { refused: { cause: 'place', why, host } };
};

/** How many earlier runs of a host's agent are remembered. */
const runsKept = 64;

/** Tells presences in their order from those that are repeated: an agent counts them, and a run that is over is over. */
const createOrder = () => {
  const hosts = new Map<string, { run: string; count: number; over: string[] }>();
  return ({ host, run, count }: Said): NotShown | undefined => {
    const last = hosts.get(host);
    if (last?.over.includes(run) || (last?.run === run && count <= last.count))
      return { cause: 'order', why: `it is an earlier presence of ${host}, which came again` };
    const over = last && last.run !== run ? [...last.over.slice(1 - runsKept), last.run] : (last?.over ?? []);
    hosts.set(host, { run, count, over });
    return undefined;
  };
};

/**
 * Calls `onPresence` for each presence as it arrives, and `onRefused` for what is no host's word.
 * @returns a function that stops listening.
 */
export const listenForPresence = (
  connection: NatsConnection,
  trust: Trust,
  onPresence: (presence: Presence) => void,
  onRefused: (refused: RefusedPresence) => void = () => undefined,
): (() => void) => {
  const outOfOrder = createOrder();
  const subscription = connection.subscribe(subject(trust.fleet, '*'), {
    callback: (error, message) => {
      // Nothing may throw here: that would end the client's reading of the connection.
      // The keeper of the log shows its report under a subject of the same kind.
      if (error || message.subject === subject(trust.fleet, keeper)) return;
      const opened = openPresence(trust, message);
      if ('refused' in opened) return onRefused(opened.refused);
      const { fleet: _fleet, run: _run, count: _count, ...presence } = opened.said;
      const refused = outOfOrder(opened.said);
      if (refused) onRefused({ ...refused, host: presence.host });
      else onPresence(presence);
    },
  });
  return () => subscription.unsubscribe();
};

/** The last presence of a host. */
export interface LastPresence extends Presence {
  /** When it came to the server, by the server's word. */
  storedAt: string;
}

/** The last presence of each host, and what stands in the place of one and is not its host's word. */
export const lastPresences = async (
  connection: NatsConnection,
  trust: Trust,
  hosts: readonly string[],
): Promise<{ seen: Map<string, LastPresence>; refused: RefusedPresence[] }> => {
  const manager = await logManager(connection);
  const seen = new Map<string, LastPresence>();
  const refused: RefusedPresence[] = [];
  const look = async (host: string) => {
    let message: StoredMsg;
    try {
      message = await manager.streams.getMessage(presenceStream, {
        last_by_subj: subject(trust.fleet, host),
      });
    } catch {
      return; // never seen
    }
    const { subject: under, data, header } = message;
    const opened = openPresence(trust, { subject: under, data, headers: header });
    if ('refused' in opened) refused.push({ ...opened.refused, host });
    else if (opened.said.host !== host)
      refused.push({
        host,
        cause: 'place',
        why: `the server shows a presence of ${opened.said.host} instead`,
      });
    else seen.set(host, { ...opened.said, storedAt: message.time.toISOString() });
  };
  await Promise.all(hosts.map(look));
  return { seen, refused };
};

/** How far a host's clock may be ahead of the reader's. */
const aheadAtMostSeconds = 30;

/**
 * How long ago a host has said that it is present, by its own clock, which it signs: a server that shows an old presence
 * can't make it newer. Of a clock that is ahead that can't be told: `doubt` says so, and such a host does not count as
 * present.
 */
export const silenceOf = (
  { host, time, storedAt }: Pick<LastPresence, 'host' | 'time' | 'storedAt'>,
  now = Date.now(),
): { lastSeen: string; silentSeconds: number; doubt?: string } => {
  const [said, stored] = [Date.parse(time), Date.parse(storedAt)];
  const secondsAt = (at: number) => Math.max(0, Math.round((now - at) / 1000));
  if (!(said <= now + aheadAtMostSeconds * 1000))
    return {
      lastSeen: storedAt,
      silentSeconds: secondsAt(stored),
      doubt: `the clock of ${host} is ahead: it says ${time}, so nobody can tell how old its last presence is`,
    };
  const doubt = `the last presence of ${host} is of ${time} by its own clock, and the log's server says that it came at ${storedAt}: the clock of ${host} is wrong, or the server shows an old presence`;
  const differs = stored - said > aheadAtMostSeconds * 1000;
  return {
    lastSeen: new Date(said).toISOString(),
    silentSeconds: secondsAt(said),
    ...(differs ? { doubt } : {}),
  };
};
