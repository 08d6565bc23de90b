import { resolve } from 'node:path';
import type { Command } from 'commander';
import {
  type ConfigPlaces,
  type FleetOptions,
  fleetFileToUse,
  print,
  printJson,
  progress,
} from '../../coordinator/commands/options.ts';
import { Refused } from '../../coordinator/refused.ts';
import { HostName } from '../../schemas/names.ts';
import { readDestination, readHostKey } from '../enrol/destination.ts';
import type { HostLogin } from '../enrol/host-line.ts';

interface LoginOptions {
  ssh: string;
  hostKey: string;
  identity?: string;
  dryRun?: boolean;
}

interface EnrolCommand extends FleetOptions, LoginOptions {
  hostConfig: string;
  fleetFile?: string;
  replaceKey?: boolean;
  force?: boolean;
  nodeHeaders?: string;
}

interface RetireCommand extends LoginOptions {
  purge?: boolean;
  force?: boolean;
  json?: boolean;
}

const loginOf = ({ ssh, hostKey, identity }: LoginOptions): HostLogin => ({
  ...readDestination(ssh),
  hostKey: readHostKey(hostKey),
  ...(identity === undefined ? {} : { identity: resolve(identity) }),
});

/** @throws {Refused} */
const readHost = (name: string): string => {
  if (HostName.safeParse(name).success) return name;
  throw new Refused(`"${name}" is no name for a host: a-z, 0-9 and -, like "fresnel"`);
};

const printList = (title: string, lines: readonly string[]): void => {
  if (lines.length === 0) return;
  print(title);
  for (const line of lines) print(`  ${line}`);
};

const loginOptions = (command: Command): Command =>
  command
    .argument('<host>', "the host's name in the fleet")
    .requiredOption(
      '--ssh <user@host[:port]>',
      'where to log in: as root, or as a user who becomes root by sudo without a password',
    )
    .requiredOption(
      '--host-key <fingerprint>',
      "the fingerprint of that machine's ed25519 host key, SHA256:…",
    )
    .option('--identity <file>', "the key to log in with (default: the ssh-agent's, or ~/.ssh/id_ed25519)")
    .option('--dry-run', 'only show what would be done')
    .option('--json', 'print one JSON document');

/** Adds `ka enrol` and `ka retire`. */
export const addEnrolCommands = (program: Command, places: ConfigPlaces): void => {
  loginOptions(program.command('enrol').description('make a machine a host of the fleet, over SSH'))
    .requiredOption(
      '--host-config <file>',
      "the host's config, YAML, without the members that enrolment decides",
    )
    .option('--config <file>', "the command line's config, which names the fleet's file")
    .option('--fleet-file <file>', "the fleet's file, if there is no config yet")
    .option('--replace-key', 'the host was installed again: pin its new key, the lost one is revoked')
    .option('--force', 'restart its units even if the host is working')
    .option('--node-headers <folder>', "headers of the host's Node, if they can't be fetched")
    .action(async (name: string, options: EnrolCommand) => {
      const host = readHost(name);
      const login = loginOf(options);
      // Loaded on demand: with the SSH client it takes longer than the whole help.
      const { enrolHost } = await import('../enrol/enrol-host.ts');
      const enrolled = await enrolHost({
        host,
        login,
        hostConfigFile: resolve(options.hostConfig),
        fleetFile: fleetFileToUse(options, places),
        dryRun: options.dryRun === true,
        replacesKey: options.replaceKey === true,
        force: options.force === true,
        ...(options.nodeHeaders === undefined ? {} : { nodeHeaders: resolve(options.nodeHeaders) }),
        onProgress: progress,
      });
      if (options.json) return printJson(enrolled);
      if (enrolled.differences.length === 0) print(`${host} is as it should be: nothing to do`);
      printList(
        options.dryRun ? `${host}, what would be done:` : `${host}, what was done:`,
        enrolled.differences,
      );
      if (enrolled.publicKey !== null) print(`${host}'s key: ${enrolled.publicKey}`);
      if (enrolled.restarted) print(`its units are active, with build ${enrolled.build}`);
      print(`better-sqlite3's addon in that build: sha256 ${enrolled.addonSha256}`);
      printList('what remains to do by hand:', enrolled.remains);
    });

  loginOptions(program.command('retire').description('take the agent off a host; its state and keys stay'))
    .option('--purge', 'remove state and keys as well')
    .option('--force', 'even if the host is working, or some of its events are not in the log')
    .action(async (name: string, options: RetireCommand) => {
      const host = readHost(name);
      const { afterRetiring, retireHost } = await import('../enrol/retire-host.ts');
      const did = await retireHost({
        host,
        login: loginOf(options),
        dryRun: options.dryRun === true,
        purge: options.purge === true,
        force: options.force === true,
        onProgress: progress,
      });
      const remains = afterRetiring(host);
      if (options.json) return printJson({ host, did, dryRun: options.dryRun === true, remains });
      if (did.length === 0) print(`there is no agent on ${host}: nothing to do`);
      printList(options.dryRun ? `${host}, what would be done:` : `${host}, what was done:`, did);
      printList('what remains to do by hand:', remains);
    });
};
