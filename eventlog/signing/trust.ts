import { coordinator } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import { isOperatorRight, isWriterRole, type OperatorRight, type WriterRole } from '../../schemas/roles.ts';
import { type TrustFile, trustFileOf } from '../../schemas/trust-file.ts';
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

/** What a trust file pins, for readers of the whole log: which key counts at which place follows from the log. */
export const trustOf = ({ fleet, approvals, authorMayApprove, writers }: TrustFile): Trust => ({
  fleet,
  approvals,
  authorMayApprove,
  writers: new Map(
    Object.entries(writers).flatMap(([name, { role, keys, may }]): [string, TrustedWriter][] => {
      for (const key of keys) mustBeKey(key);
      if (!isWriterRole(role)) return []; // of a newer fleet; it may write nothing that is known here
      return [[name, { role, keys, ...(may && { may: may.filter(isOperatorRight) }) }]];
    }),
  ),
});

/** What a fleet's file pins, for readers of the whole log. */
export const trustIn = (fleet: Fleet): Trust => trustOf(trustFileOf(fleet));

/**
 * What a trust file pins, for readers of a single message without those before it, as hosts are: a revoked key never
 * counts, whenever it signed.
 */
export const trustNowOf = (file: TrustFile): Trust => {
  const trust = trustOf(file);
  const revoked = new Set(Object.values(file.writers).flatMap((one) => one.revokedKeys ?? []));
  const writers = [...trust.writers].map(([name, one]): [string, TrustedWriter] => [
    name,
    { ...one, keys: one.keys.filter((key) => !revoked.has(key)) },
  ]);
  return { ...trust, writers: new Map(writers) };
};

/** The same by a fleet's file. */
export const trustNow = (fleet: Fleet): Trust => trustNowOf(trustFileOf(fleet));
