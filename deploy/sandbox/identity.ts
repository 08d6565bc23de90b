import { readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { generateWriterKey, readWriterKey } from '../../eventlog/writer-key.ts';
import { Fingerprint, PublicKey } from '../../schemas/names.ts';
import { generateSshKey } from '../sshd.ts';
import { hostNames, type SandboxPlaces, writerNames } from './places.ts';

/** What a sandbox was made as. The file with it marks the folder as one that may be wiped. */
const SandboxFacts = z.object({
  kind: z.literal('kernel-agent sandbox'),
  example: z.string(),
  baselineVersion: z.string(),
  fingerprint: Fingerprint,
  /** Where builders find worktrees that outlive the sandbox. */
  worktrees: z.string().optional(),
  /** Each writer's public key, and the administrator's. */
  publicKeys: z.record(z.enum([...writerNames, 'admin']), PublicKey),
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

/** Gives every writer its key, and every host its SSH key. The folders are there. */
export const makeIdentities = async (places: SandboxPlaces): Promise<Pick<SandboxFacts, 'publicKeys'>> => {
  const publicKeys = {} as SandboxFacts['publicKeys'];
  for (const writer of [...writerNames, 'admin'] as const) {
    const seed = generateWriterKey();
    await writeSecret(places.keyFile(writer), `${seed}\n`);
    publicKeys[writer] = readWriterKey(seed).publicKey;
  }
  await Promise.all(hostNames.map((host) => generateSshKey(places.sshKey(host))));
  return { publicKeys };
};
