import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  type NatsConnection,
  nanos,
  RetentionPolicy,
  StorageType,
} from 'nats';

/** The stream of events, and the bounded one of steps' output. */
export const eventStream = 'KA';
export const outputStream = 'KA_OUT';

/** Every request, and every supersession, that is for one host. */
export const requestsFor = (fleet: string, host: string): string => `ka.${fleet}.coordinator.*.*.*.${host}`;

/**
 * Makes the fleet's streams and each host's durable consumer, where they are not there yet. Needs STREAM.CREATE.
 * @throws {NatsError} if they are there with another configuration.
 */
export const provision = async (
  connection: NatsConnection,
  fleet: string,
  hosts: readonly string[],
): Promise<void> => {
  const manager = await connection.jetstreamManager();
  const replicas = { num_replicas: 1 };
  await manager.streams.add({
    ...replicas,
    name: eventStream,
    subjects: [`ka.${fleet}.>`],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    deny_delete: true,
    deny_purge: true,
    allow_direct: true,
  });
  await manager.streams.add({
    ...replicas,
    name: outputStream,
    subjects: [`ka-out.${fleet}.>`],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    max_bytes: 256 * 1024 * 1024,
    max_age: nanos(7 * 24 * 3600 * 1000),
    allow_rollup_hdrs: true, // a presence replaces the one before
  });
  for (const host of hosts)
    await manager.consumers.add(eventStream, {
      durable_name: host,
      filter_subject: requestsFor(fleet, host),
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(5_000), // a request is acked once it is noted; what an agent that died had is given again soon
      max_deliver: -1,
      deliver_policy: DeliverPolicy.All,
    });
};
