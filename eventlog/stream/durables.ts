import type { NatsConnection } from 'nats';
import { directGet } from './direct-get.ts';
import { durableConfig, durableInfo, eventStream, logManager, requestsFor } from './provision.ts';

/** Where a host's durable stands. Sequences are the stream's. */
export interface DurablePosition {
  /** Up to here everything for the host is acked. */
  ackedUpTo: number;
  /** Up to here it was handed over. */
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

/** Makes a host's durable anew, to hand over again what is for the host from a sequence on. Its journal knows repeats. */
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

/** The first sequence after this one that holds something for the host. */
export const nextFor = async (
  connection: NatsConnection,
  fleet: string,
  host: string,
  after: number,
): Promise<number | undefined> => {
  const found = await directGet(connection, { seq: after + 1, next_by_subj: requestsFor(fleet, host) });
  return found?.sequence;
};
