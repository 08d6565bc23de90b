import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type ConfigPlaces, configFile, print, progress } from '../../coordinator/commands/options.ts';
import { connectNats } from '../../eventlog/connection/connect.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { readKeyFile } from '../../eventlog/signing/key-file.ts';
import { provision } from '../../eventlog/stream/provision.ts';
import { OperatorConfig } from '../../schemas/config.ts';
import { Fleet } from '../../schemas/fleet.ts';

/** Adds `ka fleet make-log`. @param program already has the command `fleet`. */
export const addMakeLogCommand = (program: Command, places: ConfigPlaces): void => {
  program.commands
    .find((command) => command.name() === 'fleet')
    ?.command('make-log')
    .description(
      "make the fleet's log at nats-server, and each host's durable, if they do not exist yet, and give the streams the fleet's limits",
    )
    .requiredOption('--admin-seed <file>', "the administrator's key, an NKey seed")
    .option('--config <file>', "the command line's config, which names the fleet's file and the server")
    .action(async (options: { adminSeed: string }, command: Command) => {
      // `fleet` takes --config as well, and the outer command gets it.
      const { config } = command.optsWithGlobals<{ config?: string }>();
      const { nats, fleetFile } = readConfigFile(
        configFile(config === undefined ? {} : { config }, places),
        OperatorConfig,
      );
      const { fleet, hosts, admin, log } = readConfigFile(fleetFile, Fleet);
      const keyFile = resolve(options.adminSeed);
      const { publicKey } = readKeyFile(keyFile);
      if (publicKey !== admin.publicKey)
        throw new Error(
          `the key in ${keyFile} is ${publicKey}, and the admin in ${fleetFile} is ${admin.publicKey}: name the administrator's`,
        );
      const names = Object.keys(hosts);
      progress(`the fleet's file is ${fleetFile}`);
      const connection = await connectNats({ ...nats, keyFile, name: 'admin' });
      try {
        await provision(connection, fleet, names, log);
      } finally {
        await connection.close();
      }
      print(`the log of ${fleet} is there, with a place for ${names.join(', ') || 'no host yet'}`);
    });
};
