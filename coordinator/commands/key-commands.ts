import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import pc from 'picocolors';
import { formerKeyFile, makeKeyFile, readKeyFile } from '../../eventlog/signing/key-file.ts';
import { readKeyHistory } from '../../eventlog/signing/key-history.ts';
import { trustIn } from '../../eventlog/signing/trust.ts';
import { coordinator, isPerson, noIteration, personWriter } from '../../schemas/events.ts';
import { fleetKeys } from '../reading/fleet-keys.ts';
import { Refused } from '../refused.ts';
import {
  type ConfigPlaces,
  configFile,
  type FleetOptions,
  print,
  printJson,
  withSession,
} from './options.ts';
import { makeDaemonsNextKey, type RotatedKey, rotatePersonsKey } from './rotate-key.ts';
import type { Session } from './session.ts';
import { columns } from './table.ts';
import { readWriterConfig } from './writer-config.ts';

const configOption = ['--config <file>', "the command line's config"] as const;
const asOption = ['--as <name>', 'who acts: a name whose key the config has'] as const;
const jsonOption = ['--json', 'print one JSON document'] as const;

/** A writer's place in the fleet's file. */
const placeInFleet = (writer: string): string => {
  if (writer === coordinator) return coordinator;
  return isPerson(writer) ? `operators.${writer.slice(1)}` : `hosts.${writer}`;
};

/** What is left to do, numbered. */
const printSteps = (steps: readonly string[]): void => {
  for (const [index, step] of steps.entries()) print(`  ${index + 1}. ${step}`);
};

const pinIt = ({ writer, publicKey, earlierKeys }: RotatedKey): string =>
  [
    `in the fleet's file, ${placeInFleet(writer)}:`,
    `       publicKey: ${publicKey}`,
    `       earlierKeys: [${earlierKeys.join(', ')}]`,
  ].join('\n');
const copyIt = "copy the fleet's file to every host, and to wherever ka and the coordinator run";
const tellServer = 'renew the users of nats-server: ka fleet nats-config';

const tellRotated = (rotated: RotatedKey): void => {
  const { writer, publicKey, outcome, file } = rotated;
  if (outcome === 'made') {
    print(`${writer}'s next key is ${publicKey}; it waits in ${file}`);
    const restart = `restart the other daemons, and then ${writer}'s: it takes the key and announces it in the log`;
    printSteps([pinIt(rotated), copyIt, tellServer, restart]);
    return;
  }
  print(
    outcome === 'rotated'
      ? `${writer} has a new key from now on: ${publicKey}`
      : `${writer} has the key ${publicKey} already, but the fleet's file does not pin it`,
  );
  printSteps([
    pinIt(rotated),
    copyIt,
    `${tellServer}; until then it does not know the new key`,
    'restart the daemons',
    `remove ${file} once all that works`,
  ]);
};

const addMake = (key: Command): void => {
  key
    .command('make')
    .description('make a key in a new file; the private half stays in it')
    .argument('<file>')
    .option(...jsonOption)
    .action((name: string, options: { json?: boolean }) => {
      const file = resolve(name);
      // A daemon would rotate from the former key to the new one, though they have nothing to do with each other.
      if (existsSync(formerKeyFile(file)))
        throw new Refused(`${formerKeyFile(file)} exists, a key that was in use before: move it away first`);
      const { publicKey } = makeKeyFile(file);
      if (options.json) return printJson({ file, publicKey });
      print(`the key is in ${file}; its line in the fleet's file:`);
      print(`  publicKey: ${publicKey}`);
    });
};

const keyTable = (keys: ReturnType<typeof fleetKeys>): string =>
  columns(
    ['writer', 'role', 'key', 'since event', 'fleet’s file'],
    keys.flatMap(({ writer, role, inUse, since, earlier, disagrees }) => [
      [
        writer,
        role,
        inUse ?? pc.red('none'),
        since === null ? '' : `${since}`,
        disagrees === null ? pc.green('agrees') : pc.red(disagrees),
      ],
      ...earlier.map((one) => [
        '',
        '',
        pc.dim(one.publicKey),
        pc.dim(`${one.since} to ${one.until}`),
        one.revoked ? pc.red('revoked') : pc.dim('had before'),
      ]),
    ]),
  );

const addShow = (key: Command, places: ConfigPlaces): void => {
  key
    .command('show')
    .description("the public key of a file, or every writer's key in use by the log")
    .argument('[file]')
    .option(...configOption)
    .option(...jsonOption)
    .action(async (file: string | undefined, options: FleetOptions) => {
      if (file !== undefined) {
        const { publicKey } = readKeyFile(resolve(file));
        return options.json ? printJson({ file: resolve(file), publicKey }) : print(publicKey);
      }
      await withSession(options, places, async ({ fleet, read }) => {
        const keys = fleetKeys(fleet, (await read()).events);
        if (options.json) return printJson({ fleet: fleet.fleet, writers: keys });
        print(keyTable(keys));
      });
    });
};

const addRotate = (key: Command, places: ConfigPlaces): void => {
  key
    .command('rotate')
    .description("give a writer a new key, on that writer's own machine: its daemon's config, or a person's")
    .option('--config <file>', "a host's config, the coordinator's, or the command line's")
    .option('--as <name>', "whose key, if the config is the command line's")
    .option(...jsonOption)
    .action(async (options: FleetOptions) => {
      const file = configFile(options, places);
      const config = readWriterConfig(file);
      const rotated =
        config.kind === 'daemon' ? makeDaemonsNextKey(config) : await rotatePersonsKey(file, options.as);
      if (options.json) printJson(rotated);
      else tellRotated(rotated);
    });
};

/** Revokes the key that a writer has now. @returns that key. @throws {Refused} */
const revokeKeyOf = async ({ by, fleet, say }: Session, writer: string, why: string): Promise<string> => {
  const trust = trustIn(fleet);
  if (!trust.writers.has(writer))
    throw new Refused(`there is no writer "${writer}"; there are ${[...trust.writers.keys()].join(', ')}`);
  if (!fleet.operators[by]?.may.includes('keys'))
    throw new Refused(`${by} may not revoke keys: the fleet's file does not give the right "keys"`);
  let publicKey = '';
  await say(({ events }) => {
    const inUse = readKeyHistory(trust, events).inUse(writer);
    if (inUse === null) throw new Refused(`${writer} has no key in use: it was revoked before`);
    publicKey = inUse;
    const own = events.filter(
      ({ event }) => event.type === 'KeyRevoked' && event.source === personWriter(by),
    );
    return {
      type: 'KeyRevoked',
      iteration: noIteration,
      attempt: own.length + 1,
      data: { writer, publicKey, by, why },
    };
  });
  return publicKey;
};

/** @param inUse the key that the writer has now; null for none. */
const tellRevoked = (writer: string, publicKey: string, inUse: string | null): void => {
  print(`${writer}'s key ${publicKey} is revoked: readers of the log refuse whatever it signs from now on`);
  printSteps([
    ...(inUse === null
      ? [
          `on ${writer}'s machine: stop what uses it, move its key files away, and make another: ka key make FILE`,
          `in the fleet's file, ${placeInFleet(writer)}: the new publicKey, and ${publicKey} first among earlierKeys`,
        ]
      : [`the key that the fleet's file pins is in use from now on: ${inUse}`]),
    `in the fleet's file, ${placeInFleet(writer)}: ${publicKey} among earlierKeys and revokedKeys`,
    `${tellServer}: then it refuses the revoked key`,
    `${copyIt}; hosts do not read the log and trust the key until then`,
    'restart the daemons',
  ]);
};

const addRevoke = (key: Command, places: ConfigPlaces): void => {
  key
    .command('revoke')
    .description('revoke a key that was stolen or lost; needs the right "keys"')
    .argument('<writer>', 'a host, "coordinator", or "@" and a person’s name')
    .requiredOption('--why <text>', 'what happened to it')
    .option(...configOption)
    .option(...asOption)
    .option(...jsonOption)
    .action((writer: string, options: FleetOptions & { why: string }) =>
      withSession(options, places, async (session) => {
        const publicKey = await revokeKeyOf(session, writer, options.why);
        const inUse = readKeyHistory(trustIn(session.fleet), (await session.read()).events).inUse(writer);
        if (options.json) printJson({ writer, revoked: publicKey, inUse });
        else tellRevoked(writer, publicKey, inUse);
      }),
    );
};

export const addKeyCommands = (program: Command, places: ConfigPlaces): void => {
  const key = program
    .command('key')
    .helpCommand(false)
    .description("writers' keys: make, show, rotate, revoke");
  addMake(key);
  addShow(key, places);
  addRotate(key, places);
  addRevoke(key, places);
};
