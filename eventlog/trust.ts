import { coordinator, personWriter } from '../schemas/events.ts';
import type { Fleet } from '../schemas/fleet.ts';
import type { OperatorRight, WriterRole } from '../schemas/roles.ts';

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

/** What a fleet's file pins. */
export const trustIn = ({ fleet, coordinator: asking, operators, hosts }: Fleet): Trust => {
  const keysOf = ({
    publicKey,
    earlierKeys = [],
  }: {
    publicKey: string;
    earlierKeys?: string[] | undefined;
  }) => [publicKey, ...earlierKeys];
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
