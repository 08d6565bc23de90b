import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type ConfigPlaces, fleetFileToUse, print } from '../../coordinator/commands/options.ts';
import { Refused } from '../../coordinator/refused.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { fleetLogins, natsConfig } from '../nats-config.ts';
import { readVersion, serverVersion } from '../nats-version.ts';

interface NatsConfigCommand {
  config?: string;
  fleetFile?: string;
  listen: string;
  store: string;
  tlsCert?: string;
  tlsKey?: string;
  tlsCa?: string;
  serverVersion?: string;
  pidFile?: string;
}

/** `127.0.0.1:4222`, `[::1]:4222`, `log.example.org:4222`. @throws {Refused} */
const readListen = (text: string): { host: string; port: number } => {
  const [, v6, name, port] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9][A-Za-z0-9.-]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = v6 ?? name;
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw new Refused(`--listen takes HOST:PORT, like 127.0.0.1:4222 or [::1]:4222, and not "${text}"`);
  return { host, port: Number(port) };
};

const readTls = ({ tlsCert, tlsKey, tlsCa }: NatsConfigCommand) => {
  if (tlsCert === undefined && tlsKey === undefined && tlsCa === undefined) return {};
  if (tlsCert === undefined || tlsKey === undefined)
    throw new Refused('TLS takes a certificate and its key: give both --tls-cert and --tls-key');
  return {
    tls: {
      certFile: resolve(tlsCert),
      keyFile: resolve(tlsKey),
      ...(tlsCa === undefined ? {} : { caFile: resolve(tlsCa) }),
    },
  };
};

/** Adds `ka fleet nats-config`. @param program already has the command `fleet`. */
export const addNatsConfigCommand = (program: Command, places: ConfigPlaces): void => {
  program.commands
    .find((command) => command.name() === 'fleet')
    ?.command('nats-config')
    .description(
      "print the config of the fleet's nats-server: one login per writer, with only the rights that it needs",
    )
    .option('--config <file>', "the command line's config, which names the fleet's file")
    .option('--fleet-file <file>', "the fleet's file, if there is no config yet")
    .option('--listen <host:port>', 'where the server listens', '127.0.0.1:4222')
    .option('--store <folder>', 'where the server keeps the log', '/var/lib/nats')
    .option('--tls-cert <file>', "the server's certificate, PEM; needed unless it listens only on loopback")
    .option('--tls-key <file>', "the certificate's key, PEM")
    .option(
      '--tls-ca <file>',
      'its certificate authority, PEM; the same file is nats.caFile in the configs of the writers',
    )
    .option('--pid-file <file>', 'where the server writes its process id, for the keeper')
    .option(
      '--server-version <version>',
      'the version of the server that will read it; default: what `nats-server --version` prints',
    )
    .action(async (options: NatsConfigCommand, command: Command) => {
      // `fleet` takes --config as well, and the outer command gets it.
      const { config } = command.optsWithGlobals<NatsConfigCommand>();
      const file = fleetFileToUse({ ...options, ...(config === undefined ? {} : { config }) }, places);
      print(
        natsConfig({
          ...readListen(options.listen),
          ...readTls(options),
          storeFolder: resolve(options.store),
          ...(options.pidFile === undefined ? {} : { pidFile: resolve(options.pidFile) }),
          logins: fleetLogins(readConfigFile(file, Fleet)),
          version:
            options.serverVersion === undefined
              ? await serverVersion()
              : readVersion(options.serverVersion, '--server-version'),
        }),
      );
    });
};
