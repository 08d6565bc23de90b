import { expect, it } from 'vitest';
import { generateWriterKey, readWriterKey } from '../../eventlog/signing/writer-key.ts';
import { fleetLogins, natsConfig } from '../nats-config.ts';
import { withoutRights } from './running-config.ts';

const key = () => ({ publicKey: readWriterKey(generateWriterKey()).publicKey });
const hosts = { boltzmann: key(), fresnel: { ...key(), earlierKeys: [key().publicKey] } };
const logins = fleetLogins({
  ...{ fleet: 'test', admin: key(), coordinator: key(), operators: { lars: key() }, hosts },
});
const text = natsConfig({
  ...{ host: '127.0.0.1', port: 4222, storeFolder: '/s', logins, version: { major: 2, minor: 9 } },
});
const denied = (config: string) => {
  const { accounts } = JSON.parse(config) as {
    accounts: Record<string, { users: { permissions: { publish: { deny?: string[] } } }[] }>;
  };
  return Object.fromEntries(
    Object.entries(accounts).map(([account, { users }]) => [
      account,
      users.map(({ permissions }) => permissions.publish.deny),
    ]),
  );
};

it('is what was printed, while nobody is silenced', () => {
  expect(withoutRights(text, logins, [])).toBe(text);
});

it('denies a silenced host what it adds, with each of its keys, and nobody else anything', () => {
  const before = denied(text);
  const after = denied(withoutRights(text, logins, ['fresnel']));
  const deny = ['*.test.fresnel.>', 'ka-presence.test.fresnel'];
  expect(after.HOST_fresnel).toEqual([deny, deny]);
  expect({ ...after, HOST_fresnel: null }).toEqual({ ...before, HOST_fresnel: null });
});

it('denies a person what they add, besides what nobody may', () => {
  const [, before] = denied(text).FLEET?.slice(-2) ?? [];
  const [, after] = denied(withoutRights(text, logins, ['@lars'])).FLEET?.slice(-2) ?? [];
  expect(after).toEqual([...(before ?? []), '*.test.@lars.>', 'ka-presence.test.@lars']);
});
