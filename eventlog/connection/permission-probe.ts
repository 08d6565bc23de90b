import type { NatsConnection, QueuedIterator, Status } from 'nats';
import { inboxOf } from './inbox.ts';

/** Returns what the server refused to a connection during `doing`: subjects published to, and subscribed to. */
export const refusedWhile = async (
  connection: NatsConnection,
  doing: () => void,
): Promise<{ publish: Set<string>; subscription: Set<string> }> => {
  const refused = { publish: new Set<string>(), subscription: new Set<string>() };
  const status = connection.status() as QueuedIterator<Status>;
  const reading = (async () => {
    for await (const { permissionContext } of status)
      if (permissionContext?.operation === 'publish') refused.publish.add(permissionContext.subject);
      else if (permissionContext) refused.subscription.add(permissionContext.subject);
  })();
  doing();
  await connection.flush(); // the server answers in order: every refusal has arrived by now
  await new Promise((read) => setImmediate(read));
  status.stop();
  await reading;
  return refused;
};

/**
 * Asks a server whether it limits this connection to what a writer may do. Whatever the server permits, this stores and
 * changes nothing: the subjects belong to nobody, and the API calls only ask.
 * @returns what the connection may do although only the administrator should; empty if permissions are on.
 */
export const excessRights = async (connection: NatsConnection, fleet: string): Promise<string[]> => {
  const publish = [
    `ka-nobody.${fleet}.nobody`,
    '$JS.API.STREAM.NAMES',
    '$JS.API.INFO',
    '$SYS.REQ.USER.INFO',
    '$SYS.REQ.SERVER.PING',
  ];
  const subscribe = [`${inboxOf('nobody')}.>`, `ka.${fleet}.>`, '$SYS.>', '>'];
  const refused = await refusedWhile(connection, () => {
    for (const subject of publish) connection.publish(subject);
    for (const subject of subscribe)
      connection.subscribe(subject, { callback: () => undefined }).unsubscribe();
  });
  return [
    ...publish.filter((subject) => !refused.publish.has(subject)).map((subject) => `publish to ${subject}`),
    ...subscribe
      .filter((subject) => !refused.subscription.has(subject))
      .map((subject) => `subscribe to ${subject}`),
  ];
};
