import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { print } from '../../coordinator/commands/options.ts';
import { Refused } from '../../coordinator/refused.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { KeeperConfig } from '../../schemas/config.ts';
import { readSilenced, writeSilenced } from '../keeper/silenced-file.ts';
import { installedKeeperConfig } from '../places/default-folders.ts';

/** Adds `ka fleet readmit`. @param program already has the command `fleet`. */
export const addReadmitCommand = (program: Command): void => {
  program.commands
    .find((command) => command.name() === 'fleet')
    ?.command('readmit')
    .description('on the log’s server: let a writer publish again that the keeper has silenced')
    .argument('<writer>', 'a host, "coordinator", or "@" and a person’s name')
    .option('--keeper-config <file>', "the keeper's config", installedKeeperConfig)
    .action((writer: string, { keeperConfig }: { keeperConfig: string }) => {
      const { silencedFile } = readConfigFile(keeperConfig, KeeperConfig);
      const silenced = readSilenced(silencedFile);
      const left = silenced.filter((one) => one.writer !== writer);
      if (left.length === silenced.length)
        throw new Refused(
          `${writer} is not silenced; silenced are ${silenced.map((one) => one.writer).join(', ') || 'none'}`,
        );
      const { uid } = statSync(silencedFile);
      // The keeper could not read a file of another user any more.
      if (process.getuid?.() !== uid)
        throw new Refused(
          `${silencedFile} belongs to the user ${uid}, whom the keeper runs as: run this as that user, with runuser -u USER`,
        );
      writeSilenced(silencedFile, left);
      print(`${writer} may publish again, as soon as the keeper sees it: within a second while it runs`);
    });
};
