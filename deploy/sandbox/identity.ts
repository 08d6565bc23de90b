import { readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { createNatsKey } from '../../eventlog/nats-key.ts';
import { generateWriterKey, readWriterKey } from '../../eventlog/writer-key.ts';
import { PublicKey } from '../../schemas/fleet.ts';
import { Fingerprint } from '../../schemas/names.ts';

import { generateSshKey } from '../sshd.ts';
import { hostNames, type SandboxPlaces, type SandboxWriter, writerNames } from './places.ts';

/** What a sandbox was made as. The file with it marks the folder as one that may be wiped. */
const SandboxFacts = z.object({
  kind: z.literal('kernel-agent sandbox'),
  example: z.string(),
  baselineVersion: z.string(),
  fingerprint: Fingerprint,
  /** Where builders find worktrees that outlive the sandbox. */
  worktrees: z.string().optional(),
  /** Each writer's Ed25519 public key, and the public half of its NATS NKey. */
  publicKeys: z.record(z.enum(writerNames), PublicKey),
  natsKeys: z.record(z.enum([...writerNames, 'admin']), z.string()),
});
export type SandboxFacts = z.infer<typeof SandboxFacts>;

/** @throws {Error} if the folder is no sandbox, or a half-made one. */
export const readFacts = async (places: SandboxPlaces): Promise<SandboxFacts> => {
  const text = await readFile(places.marker, 'utf8').catch(() => undefined);
  if (text === undefined) throw new Error(`there is no sandbox in ${places.folder}`);
  const facts = SandboxFacts.safeParse(JSON.parse(text));
  if (!facts.success)
    throw new Error(`the sandbox in ${places.folder} is not completely set up; set it up again`);
  return facts.data;
};

export const writeFacts = async (
  places: SandboxPlaces,
  facts: Omit<SandboxFacts, 'kind'> | Record<string, never>,
): Promise<void> => {
  const text = JSON.stringify({ kind: 'kernel-agent sandbox', ...facts }, null, 2);
  await writeFile(`${places.marker}.part`, `${text}\n`);
  await rename(`${places.marker}.part`, places.marker);
};

const writeSecret = (file: string, text: string) => writeFile(file, text, { mode: 0o600 });

/** Gives every writer its signing key and its NATS key, and every host its SSH key. The folders are there. */
export const makeIdentities = async (
  places: SandboxPlaces,
): Promise<Pick<SandboxFacts, 'publicKeys' | 'natsKeys'>> => {
  const publicKeys = {} as Record<SandboxWriter, string>;
  const natsKeys = {} as Record<SandboxWriter | 'admin', string>;
  for (const writer of writerNames) {
    const pem = generateWriterKey();
    await writeSecret(places.keyFile(writer), pem);
    publicKeys[writer] = readWriterKey(pem).publicKey;
  }
  for (const writer of [...writerNames, 'admin'] as const) {
    const { publicKey, seed } = createNatsKey();
    await writeSecret(places.seedFile(writer), `${seed}\n`);
    natsKeys[writer] = publicKey;
  }
  await Promise.all(hostNames.map((host) => generateSshKey(places.sshKey(host))));
  return { publicKeys, natsKeys };
};
