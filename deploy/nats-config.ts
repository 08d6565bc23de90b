import { Refused } from '../coordinator/refused.ts';
import { isLoopback } from '../eventlog/connection/server-address.ts';
import { keeper } from '../eventlog/live/keeping.ts';
import { coordinator, personWriter } from '../schemas/events.ts';
import { hostServices, type NatsWriter, permissionsOf } from './nats-permissions.ts';

/** The account that holds the log: the coordinator's, the people's and the administrator's. */
export const fleetAccount = 'FLEET';
const hostAccount = (host: string) => `HOST_${host}`;

/** The writers of a fleet, who may log in. */
export interface FleetLogins {
  fleet: string;
  writers: readonly NatsWriter[];
}

interface Keys {
  publicKey: string;
  earlierKeys?: readonly string[] | undefined;
  revokedKeys?: readonly string[] | undefined;
}

/** The logins of the writers in a fleet's file. An earlier key can log in as long as it is listed and not revoked. */
export const fleetLogins = (file: {
  fleet: string;
  admin: Keys;
  keeper?: Keys | undefined;
  coordinator: Keys;
  operators: Readonly<Record<string, Keys>>;
  hosts: Readonly<Record<string, Keys>>;
}): FleetLogins => {
  const of = (
    writer: string,
    role: NatsWriter['role'],
    { publicKey, earlierKeys = [], revokedKeys = [] }: Keys,
  ) =>
    [publicKey, ...earlierKeys.filter((key) => !revokedKeys.includes(key))].map((key) => ({
      writer,
      role,
      publicKey: key,
    }));
  return {
    fleet: file.fleet,
    writers: [
      ...of('admin', 'admin', file.admin),
      ...(file.keeper ? of(keeper, 'keeper', file.keeper) : []),
      ...of(coordinator, 'coordinator', file.coordinator),
      ...Object.entries(file.operators).flatMap(([name, keys]) => of(personWriter(name), 'person', keys)),
      ...Object.entries(file.hosts).flatMap(([host, keys]) => of(host, 'host', keys)),
    ],
  };
};

export interface NatsConfigOptions {
  /** An address, or a host name. */
  host: string;
  /** -1: the server picks a free one. */
  port: number;
  /** Where JetStream keeps the log. */
  storeFolder: string;
  logins: FleetLogins;
  /** The version of the server that will read it. */
  version: { major: number; minor: number };
  /** PEM files. Needed if other machines can connect. */
  tls?: { certFile: string; keyFile: string; caFile?: string };
  /** The folder in which the server writes the port that it has picked. */
  portsFolder?: string;
  /** Where the server writes its process id: the keeper has it read its config again. */
  pidFile?: string;
}

/**
 * The accounts. Each host has its own, and reaches the log's account only through services. Permissions are not enough:
 * the server publishes a JetStream answer in the asker's account, under a reply subject that the client chooses freely.
 * In the log's own account, a host could make the server publish to `$JS.API.STREAM.DELETE.KA`, or to another writer's
 * subject.
 */
const accounts = ({ fleet, writers }: FleetLogins) => {
  const hosts = [...new Set(writers.filter(({ role }) => role === 'host').map(({ writer }) => writer))];
  const usersOf = (of: readonly NatsWriter[]) =>
    of.map((one) => {
      const { publish, subscribe } = permissionsOf(fleet, one, hosts);
      return { nkey: one.publicKey, permissions: { publish, subscribe: { allow: subscribe } } };
    });
  return {
    [fleetAccount]: {
      jetstream: 'enabled',
      users: usersOf(writers.filter(({ role }) => role !== 'host')),
      exports: hosts.flatMap((host) => {
        const { pull, ...single } = hostServices(fleet, host);
        const of = { accounts: [hostAccount(host)] };
        return [
          ...Object.values(single).map((service) => ({ service, ...of })),
          { service: pull, response_type: 'stream', ...of }, // one pull is answered many times
        ];
      }),
    },
    ...Object.fromEntries(
      hosts.map((host) => [
        hostAccount(host),
        {
          users: usersOf(writers.filter(({ role, writer }) => role === 'host' && writer === host)),
          imports: Object.values(hostServices(fleet, host)).map((subject) => ({
            service: { account: fleetAccount, subject },
          })),
        },
      ]),
    ),
  };
};

/**
 * The whole config of a fleet's nats-server: one login per writer, by NKey, with only the rights that it needs; nobody
 * without a key, and nobody in the system's account. The server's language takes JSON; strings stay quoted, since a
 * bare `$` begins a variable.
 * @throws {Refused} in one sentence, if others could read the traffic, or nobody could log in.
 */
export const natsConfig = ({
  host,
  port,
  storeFolder,
  logins,
  version: { major, minor },
  tls,
  portsFolder,
  pidFile,
}: NatsConfigOptions): string => {
  if (!tls && !isLoopback(host))
    throw new Refused(
      `nats-server would listen on ${host} without TLS, so that others can read the traffic: give --tls-cert and --tls-key, or listen on 127.0.0.1`,
    );
  // A server without a single user lets everybody in.
  if (logins.writers.length === 0) throw new Refused('the fleet has no writers: nobody could log in');
  return JSON.stringify(
    {
      host,
      port,
      ...(pidFile === undefined ? {} : { pid_file: pidFile }),
      ...(portsFolder === undefined ? {} : { ports_file_dir: portsFolder }),
      ...(tls && {
        tls: {
          cert_file: tls.certFile,
          key_file: tls.keyFile,
          ...(tls.caFile === undefined ? {} : { ca_file: tls.caFile }),
        },
      }),
      jetstream: {
        store_dir: storeFolder,
        // By default the limit is three quarters of the free space at the start, and a stream that may grow larger is
        // then not opened: the output, after a restart on a nearly full disk.
        max_file_store: 2 ** 50,
        // Before 2.10 the server flushes every 60 s, which can't be changed.
        ...(major > 2 || minor >= 10 ? { sync_interval: 'always' } : {}),
      },
      accounts: accounts(logins),
    },
    null,
    2,
  );
};
