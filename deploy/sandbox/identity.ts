import { readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { generateWriterKey, readWriterKey } from '../../eventlog/signing/writer-key.ts';
import { Fingerprint, FleetName } from '../../schemas/names.ts';
import { generateSshKey } from '../sshd.ts';
import { type BoardKind, boardKinds } from './board-machine.ts';
import { hostNames, type SandboxPlaces, type SandboxWriter, sandboxHosts, writerNames } from './places.ts';

const Port = z.int().min(1).max(65_535);

/** Where a fleet's servers always listen, on 127.0.0.1. */
export const FixedPorts = z.object({
  nats: Port,
  files: Port,
  ssh: z.object({ boltzmann: Port, fermi: Port, hertz: Port }),
  /** The virtual board's own SSH server, as this machine reaches it. */
  board: Port,
});
export type FixedPorts = z.infer<typeof FixedPorts>;

/** What a sandbox was made as. The file with it marks the folder as one that may be wiped. */
const SandboxFacts = z.object({
  kind: z.literal('kernel-agent sandbox'),
  fleet: FleetName,
  board: z.enum(boardKinds),
  example: z.string(),
  baselineVersion: z.string(),
  fingerprint: Fingerprint,
  /** Where builders find worktrees that outlive the sandbox. */
  worktrees: z.string().optional(),
  /** For a board that was told once where the fleet is. Absent: whatever ports are free at each start. */
  ports: FixedPorts.optional(),
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

/** Each writer's public key, and the administrator's. */
export type Identities = Partial<Record<SandboxWriter | 'admin', string>>;

/** Gives every writer its key, and every host its SSH key. The folders are there. A virtual board makes its own. */
export const makeIdentities = async (places: SandboxPlaces, board: BoardKind): Promise<Identities> => {
  const isMadeHere = (writer: SandboxWriter | 'admin') =>
    board === 'folder' || sandboxHosts[writer as keyof typeof sandboxHosts] !== 'board';
  const publicKeys: Identities = {};
  for (const writer of ([...writerNames, 'admin'] as const).filter(isMadeHere)) {
    const seed = generateWriterKey();
    await writeSecret(places.keyFile(writer), `${seed}\n`);
    publicKeys[writer] = readWriterKey(seed).publicKey;
  }
  await Promise.all(hostNames.filter(isMadeHere).map((host) => generateSshKey(places.sshKey(host))));
  return publicKeys;
};
