import { connectNats } from '../../eventlog/connection/connect.ts';
import {
  formerKeyFile,
  makeKeyFile,
  nextKeyFile,
  readKeyFile,
  readKeyFileIfAny,
  takeNextKey,
} from '../../eventlog/signing/key-file.ts';
import { readKeyHistory } from '../../eventlog/signing/key-history.ts';
import { trustIn } from '../../eventlog/signing/trust.ts';
import { noIteration, personWriter } from '../../schemas/events.ts';
import { Refused } from '../refused.ts';
import { appendMade, personsLog, readIdentity } from './session.ts';
import type { WriterConfig } from './writer-config.ts';

/** The result of a rotation, and what the fleet's file has to pin for the writer. */
export interface RotatedKey {
  writer: string;
  publicKey: string;
  /** Newest first. */
  earlierKeys: readonly string[];
  /** `made`: the key waits for its daemon. `rotated`: the log has it now. `there`: the log had it already. */
  outcome: 'made' | 'rotated' | 'there';
  /** The file of the former key, which is no longer needed; for `made`, of the key that waits. */
  file: string;
}

/** The next key, in a file beside the key in use; made if there is none. */
const nextKey = (keyFile: string) =>
  readKeyFileIfAny(nextKeyFile(keyFile)) ?? makeKeyFile(nextKeyFile(keyFile));

/**
 * Makes a daemon's next key beside its present one. The daemon itself takes it when it starts and announces it in the
 * log: only the daemon knows its own chain of events.
 * @throws {Refused} if the fleet's file does not pin the key that it has.
 */
export const makeDaemonsNextKey = (config: Extract<WriterConfig, { kind: 'daemon' }>): RotatedKey => {
  const { writer, keyFile, pins } = config;
  const pinned = pins.trust().writers.get(writer)?.keys ?? [];
  const own = readKeyFile(keyFile).publicKey;
  if (!pinned.includes(own))
    throw new Refused(`the key ${keyFile} is ${own}, and ${pins.file} does not pin it for ${writer}`);
  const { publicKey } = nextKey(keyFile);
  const earlierKeys = pinned.filter((key) => key !== publicKey);
  return { writer, publicKey, earlierKeys, outcome: 'made', file: nextKeyFile(keyFile) };
};

/**
 * Gives a person a new key: makes it, puts it in the place of the one in use, and announces it in the log, signed with
 * the old one. If it is interrupted anywhere, a second run continues from there.
 * @throws {Refused} if this config does not have the key in use. @throws {LogUnreachable} before anything is changed.
 */
export const rotatePersonsKey = async (configFile: string, as?: string): Promise<RotatedKey> => {
  const { config, fleet, by, keyFile, pinned } = readIdentity(configFile, as);
  const writer = personWriter(by);
  const trust = trustIn(fleet);
  const file = formerKeyFile(keyFile);
  // The server knows the key that the fleet's file pins.
  const known = [keyFile, nextKeyFile(keyFile), file].find(
    (one) => readKeyFileIfAny(one)?.publicKey === pinned.publicKey,
  );
  const connection = await connectNats({ ...config.nats, keyFile: known ?? keyFile, name: writer });
  try {
    const { read } = personsLog(connection, fleet);
    const history = readKeyHistory(trust, (await read()).events);
    const inUse = history.inUse(writer);
    const before = history.of(writer).map(({ publicKey }) => publicKey);
    if (inUse === null)
      throw new Refused(
        `${writer}'s key was revoked: make another one with "ka key make", and pin it in the fleet's file`,
      );
    let own = readKeyFile(keyFile);
    if (own.publicKey === inUse) {
      if (!trust.writers.get(writer)?.keys.includes(inUse)) {
        const earlierKeys = before.filter((key) => key !== inUse).reverse();
        return { writer, publicKey: inUse, earlierKeys, outcome: 'there', file };
      }
      nextKey(keyFile);
      takeNextKey(keyFile);
      own = readKeyFile(keyFile);
    }
    const former = readKeyFileIfAny(file);
    if (former?.publicKey !== inUse)
      throw new Refused(
        `the key ${keyFile} is ${own.publicKey}, and ${writer}'s in use is ${inUse}: name the config that has it`,
      );
    await appendMade(connection, read, { fleet: fleet.fleet, name: writer, key: former }, ({ events }) => {
      const now = readKeyHistory(trust, events);
      if (now.inUse(writer) !== former.publicKey)
        throw new Refused(`${writer}'s key was changed by somebody else meanwhile; see: ka key show`);
      return { type: 'KeyRotated', iteration: noIteration, ...now.rotationTo(writer, own) };
    });
    return { writer, publicKey: own.publicKey, earlierKeys: [...before].reverse(), outcome: 'rotated', file };
  } finally {
    await connection.close();
  }
};
