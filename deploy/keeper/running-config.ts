import { z } from 'zod';
import type { FleetLogins } from '../nats-config.ts';
import { addingSubjects } from '../nats-permissions.ts';

const User = z.looseObject({
  nkey: z.string(),
  permissions: z.looseObject({
    publish: z.looseObject({ allow: z.array(z.string()), deny: z.array(z.string()).optional() }),
  }),
});
const ServerConfig = z.looseObject({
  accounts: z.record(z.string(), z.looseObject({ users: z.array(User) })),
});

/**
 * The config that nats-server reads: as `ka fleet nats-config` has printed it, but silenced writers can't add anything
 * to a stream. They still receive, and read, what they may.
 * @throws {Error} if the text is not such a config.
 */
export const withoutRights = (
  text: string,
  { fleet, writers }: FleetLogins,
  silenced: readonly string[],
): string => {
  if (silenced.length === 0) return text;
  const config = ServerConfig.parse(JSON.parse(text));
  const writerOf = new Map(writers.map(({ publicKey, writer }) => [publicKey, writer]));
  for (const { users } of Object.values(config.accounts))
    for (const { nkey, permissions } of users) {
      const writer = writerOf.get(nkey);
      if (writer === undefined || !silenced.includes(writer)) continue;
      const { publish } = permissions;
      publish.deny = [...(publish.deny ?? []), ...addingSubjects(fleet, writer)];
    }
  return `${JSON.stringify(config, null, 2)}\n`;
};
