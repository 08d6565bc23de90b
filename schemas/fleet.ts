import { z } from 'zod';
import { Fingerprint, FleetName, HostName } from './names.ts';
import { Role } from './step-names.ts';

/** An Ed25519 public key: SubjectPublicKeyInfo, DER, base64. */
export const PublicKey = z
  .string()
  .regex(/^[A-Za-z0-9+/]{59}=$/, { error: 'must be an Ed25519 public key: base64 of its 44 bytes of DER' });

/** What an operator writes about the fleet: who is in it, and the keys that everybody pins. */
export const Fleet = z.strictObject({
  fleet: FleetName,
  /** The OpenPGP key that packages are signed with. */
  signingKey: Fingerprint,
  coordinator: z.strictObject({ publicKey: PublicKey }),
  operator: z.strictObject({ publicKey: PublicKey }),
  hosts: z.record(
    HostName,
    z.strictObject({
      role: Role,
      publicKey: PublicKey,
      /** How long the host may be silent before a step is given to its fallback. */
      graceSeconds: z.int().min(1).default(300),
    }),
  ),
});
export type Fleet = z.infer<typeof Fleet>;
