import { coordinator, personWriter } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import type { OperatorRight, WriterRole } from '../../schemas/roles.ts';
import { ConfigFault } from '../files/config-file.ts';
import { rawPublicKey } from './writer-key.ts';

/** What is pinned for a writer. */
export interface TrustedWriter {
  role: WriterRole;
  /** Public keys, the current one first. */
  keys: readonly string[];
  /** An operator's rights. */
  may?: readonly OperatorRight[];
}

/** Who may write what in a fleet, and the keys that everybody pins. */
export interface Trust {
  fleet: string;
  writers: ReadonlyMap<string, TrustedWriter>;
  /** How many people have to approve an iteration. */
  approvals: number;
  /** Whether the one who started it counts among them, where the plan says so too. */
  authorMayApprove: boolean;
}

/** Whether that writer is a host of the fleet. */
export const isHost = ({ writers }: Trust, writer: string): boolean => {
  const role = writers.get(writer)?.role;
  return role !== undefined && role !== 'operator' && role !== coordinator;
};

/** @throws {ConfigFault} if a letter of the key is wrong, by its checksum. */
const mustBeKey = (key: string): void => {
  try {
    rawPublicKey(key);
  } catch (cause) {
    throw new ConfigFault(
      `the fleet's file pins ${key}, which is not an NKey: its checksum is wrong; see: ka key show FILE`,
      { cause },
    );
  }
};

/** What a fleet's file pins, for readers of the whole log: which key counts at which place follows from the log. */
export const trustIn = (pinned: Fleet): Trust => {
  const { fleet, coordinator: asking, operators, hosts, approvals, authorMayApprove } = pinned;
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
    approvals,
    authorMayApprove,
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
 * What a fleet's file pins, for readers of a single message without those before it, as hosts are: a revoked key never
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
