import type { NatsConnection } from 'nats';
import { directGet } from './direct-get.ts';
import { durableConfig, durableInfo, eventStream, logManager, requestsFor } from './provision.ts';

/** The position of a host's durable. Sequences are the stream's. */
export interface DurablePosition {
  /** Everything for the host up to here is acked. */
  ackedUpTo: number;
  /** Everything for the host up to here was delivered. */
  deliveredUpTo: number;
}

/** A host's durable; undefined if it is gone. */
export const durablePosition = async (
  connection: NatsConnection,
  host: string,
): Promise<DurablePosition | undefined> => {
  const info = await durableInfo(await logManager(connection), host);
  return info && { ackedUpTo: info.ack_floor.stream_seq, deliveredUpTo: info.delivered.stream_seq };
};

/**
 * Makes a host's durable again, so that it redelivers what is for the host from a sequence on. The host's journal
 * recognizes repeats.
 */
export const remakeDurable = async (
  connection: NatsConnection,
  fleet: string,
  host: string,
  from: number,
): Promise<void> => {
  const manager = await logManager(connection);
  if (await durableInfo(manager, host)) await manager.consumers.delete(eventStream, host);
  await manager.consumers.add(eventStream, durableConfig(fleet, host, from));
};

/** The first sequence after this one with a message for the host. */
export const nextFor = async (
  connection: NatsConnection,
  fleet: string,
  host: string,
  after: number,
): Promise<number | undefined> => {
  const found = await directGet(connection, { seq: after + 1, next_by_subj: requestsFor(fleet, host) });
  return found?.sequence;
};
