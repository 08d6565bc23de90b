import { z } from 'zod';
import { LogLimits } from './log-limits.ts';
import { Fingerprint, FleetName, HostName, PublicKey } from './names.ts';
import { operatorRightNames } from './roles.ts';
import { Role } from './step-names.ts';

const keys = {
  publicKey: PublicKey,
  /** Keys that the writer had before, the newest first. The log still holds what they signed. */
  earlierKeys: z.array(PublicKey).optional(),
  /** The earlier keys that were revoked: nobody can log in with them, and no host accepts what they signed. */
  revokedKeys: z.array(PublicKey).optional(),
};

/** A person's name that can be part of a subject. */
const OperatorName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,59}$/, {
  error: 'must be a name like "sonnet-architect": letters, digits, - and _',
});

/** What an operator writes about the fleet: who is in it, what each may write, and the keys that everybody pins. */
export const Fleet = z
  .strictObject({
    fleet: FleetName,
    /** The OpenPGP key that packages are signed with. */
    signingKey: Fingerprint,
    /** How many people have to approve an iteration before anything of it lands. */
    approvals: z.int().min(1).default(1),
    /** Whether the person who starts an iteration counts among them, where its plan says so too: a fleet of one person. */
    authorMayApprove: z.boolean().default(false),
    log: LogLimits.prefault({}),
    /** The administrator makes and restores the log at the NATS server. Nobody uses this key in daily work. */
    admin: z.strictObject({ publicKey: PublicKey }),
    /** The keeper beside the log's server, which takes the right to publish from a writer that floods the log. */
    keeper: z.strictObject({ publicKey: PublicKey }).optional(),
    coordinator: z.strictObject(keys),
    operators: z.record(
      OperatorName,
      z.strictObject({ ...keys, may: z.array(z.enum(operatorRightNames)).min(1) }),
    ),
    hosts: z.record(
      HostName,
      z.strictObject({
        role: Role,
        ...keys,
        /** How long the host may be silent before a step is given to its fallback. */
        graceSeconds: z.int().min(1).default(300),
      }),
    ),
  })
  .check(({ value, issues }) => {
    const seen = new Map<string, string>();
    const look = (
      owner: string,
      path: string[],
      {
        publicKey,
        earlierKeys = [],
        revokedKeys = [],
      }: { publicKey: string; earlierKeys?: string[] | undefined; revokedKeys?: string[] | undefined },
    ) => {
      for (const key of revokedKeys)
        if (!earlierKeys.includes(key))
          issues.push({
            code: 'custom',
            input: key,
            path: [...path, 'revokedKeys'],
            message: `has ${key}, which is not among earlierKeys: what it signed before could not be read`,
          });
      for (const key of [publicKey, ...earlierKeys]) {
        const other = seen.get(key);
        if (other !== undefined)
          issues.push({
            code: 'custom',
            input: key,
            path: [...path, 'publicKey'],
            message: `is ${other}’s key as well: each writer has one of its own`,
          });
        seen.set(key, owner);
      }
    };
    look('the administrator', ['admin'], value.admin);
    if (value.keeper) look('the keeper', ['keeper'], value.keeper);
    look('the coordinator', ['coordinator'], value.coordinator);
    for (const [name, one] of Object.entries(value.operators)) look(name, ['operators', name], one);
    for (const [name, one] of Object.entries(value.hosts)) {
      if (['coordinator', 'operator', 'admin', 'keeper'].includes(name))
        issues.push({
          code: 'custom',
          input: name,
          path: ['hosts', name],
          message: `is no name for a host: the ${name} has it`,
        });
      look(name, ['hosts', name], one);
    }
  });
export type Fleet = z.infer<typeof Fleet>;
