import type { Command } from 'commander';
import { type ConfigPlaces, fleetFileToUse, print } from '../../coordinator/commands/options.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { trustFileText } from '../../schemas/trust-file.ts';

/** Adds `ka fleet trust`. @param program already has the command `fleet`. */
export const addTrustFileCommand = (program: Command, places: ConfigPlaces): void => {
  program.commands
    .find((command) => command.name() === 'fleet')
    ?.command('trust')
    .description('print what hosts read of the fleet’s file: whom they trust, and with which keys')
    .option('--config <file>', "the command line's config, which names the fleet's file")
    .option('--fleet-file <file>', "the fleet's file, if there is no config yet")
    .action((_options: object, command: Command) => {
      // `fleet` takes --config as well, and the outer command gets it.
      const options = command.optsWithGlobals<{ config?: string; fleetFile?: string }>();
      print(trustFileText(readConfigFile(fleetFileToUse(options, places), Fleet)).trimEnd());
    });
};
