import { coordinator, personWriter } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import type { OperatorRight, WriterRole } from '../../schemas/roles.ts';
import { ConfigFault } from '../files/config-file.ts';
import { rawPublicKey } from './writer-key.ts';

/** What is pinned of a writer. */
export interface TrustedWriter {
  role: WriterRole;
  /** Public keys, the one that it has now first. */
  keys: readonly string[];
  /** An operator's rights. */
  may?: readonly OperatorRight[];
}

/** Who may say what in a fleet: what everybody pins. */
export interface Trust {
  fleet: string;
  writers: ReadonlyMap<string, TrustedWriter>;
}

/** @throws {ConfigFault} if a letter of it is wrong: a checksum tells. */
const mustBeKey = (key: string): void => {
  try {
    rawPublicKey(key);
  } catch (cause) {
    throw new ConfigFault(
      `the fleet's file pins ${key}, which is no NKey: its checksum is wrong; see: ka key show FILE`,
      { cause },
    );
  }
};

/** What a fleet's file pins, for who reads the whole log: which key counts where follows from the log. */
export const trustIn = ({ fleet, coordinator: asking, operators, hosts }: Fleet): Trust => {
  const keysOf = ({
    publicKey,
    earlierKeys = [],
  }: {
    publicKey: string;
    earlierKeys?: string[] | undefined;
  }) => {
    const keys = [publicKey, ...earlierKeys];
    for (const key of keys) mustBeKey(key);
    return keys;
  };
  return {
    fleet,
    writers: new Map<string, TrustedWriter>([
      [coordinator, { role: 'coordinator', keys: keysOf(asking) }],
      ...Object.entries(operators).map(
        ([name, one]) => [personWriter(name), { role: 'operator', keys: keysOf(one), may: one.may }] as const,
      ),
      ...Object.entries(hosts).map(([name, one]) => [name, { role: one.role, keys: keysOf(one) }] as const),
    ]),
  };
};

/**
 * What a fleet's file pins, for who reads a single message and not what came before it, as a host does: no revoked key
 * counts, whenever it signed.
 */
export const trustNow = (fleet: Fleet): Trust => {
  const trust = trustIn(fleet);
  const { coordinator: asking, operators, hosts } = fleet;
  const revoked = new Set(
    [asking, ...Object.values(operators), ...Object.values(hosts)].flatMap((one) => one.revokedKeys ?? []),
  );
  const writers = [...trust.writers].map(([name, one]): [string, TrustedWriter] => [
    name,
    { ...one, keys: one.keys.filter((key) => !revoked.has(key)) },
  ]);
  return { ...trust, writers: new Map(writers) };
};
