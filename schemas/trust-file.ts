import { z } from 'zod';
import { coordinator, personWriter } from './events.ts';
import type { Fleet } from './fleet.ts';
import { Fingerprint, FleetName, PublicKey } from './names.ts';

/**
 * A host's copy of what it needs of the fleet's file: whom it trusts, with which keys, and what people have to agree to.
 * It is the same on all hosts, byte for byte. What a newer fleet's file adds is no part of it, and what a newer version
 * adds to it is carried: a role or a right that is not known here counts as none.
 */
export const TrustFile = z.object({
  fleet: FleetName,
  signingKey: Fingerprint,
  approvals: z.int().min(1),
  authorMayApprove: z.boolean(),
  /** By the writer's name; a person's begins with `@`. */
  writers: z.record(
    z.string(),
    z.object({
      role: z.string(),
      /** The current one first. */
      keys: z.array(PublicKey).min(1),
      revokedKeys: z.array(PublicKey).optional(),
      /** A person's rights. */
      may: z.array(z.string()).optional(),
    }),
  ),
});
export type TrustFile = z.infer<typeof TrustFile>;

type Keys = Fleet['coordinator'];
type Writer = TrustFile['writers'][string];

/** What a fleet's file says, for its hosts. */
export const trustFileOf = ({ coordinator: asking, operators, hosts, ...fleet }: Fleet): TrustFile => {
  const writer = (role: string, { publicKey, earlierKeys = [], revokedKeys = [] }: Keys): Writer => ({
    role,
    keys: [publicKey, ...earlierKeys],
    ...(revokedKeys.length > 0 && { revokedKeys }),
  });
  const writers: [string, Writer][] = [
    [coordinator, writer('coordinator', asking)],
    ...Object.entries(operators).map(([name, one]): [string, Writer] => [
      personWriter(name),
      { ...writer('operator', one), may: one.may },
    ]),
    ...Object.entries(hosts).map(([name, one]): [string, Writer] => [name, writer(one.role, one)]),
  ];
  return {
    fleet: fleet.fleet,
    signingKey: fleet.signingKey,
    approvals: fleet.approvals,
    authorMayApprove: fleet.authorMayApprove,
    writers: Object.fromEntries(writers.toSorted(([a], [b]) => (a < b ? -1 : 1))),
  };
};

/** A trust file's text. */
export const trustFileText = (fleet: Fleet): string => `${JSON.stringify(trustFileOf(fleet), null, 2)}\n`;
