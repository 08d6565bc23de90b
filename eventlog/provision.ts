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

/** Makes the fleet's streams and each host's durable consumer, where they are not there yet. Needs STREAM.CREATE. */
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
  });
  for (const host of hosts)
    await manager.consumers.add(eventStream, {
      durable_name: host,
      filter_subject: requestsFor(fleet, host),
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(30_000),
      max_deliver: -1,
      deliver_policy: DeliverPolicy.All,
    });
};
