import { readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { Fingerprint, FleetName } from '../../schemas/names.ts';
import type { SandboxPlaces } from '../places/sandbox-places.ts';
import { boardKinds } from './board/board-kind.ts';

const Port = z.int().min(1).max(65_535);

/** The fixed ports of a fleet's servers, on 127.0.0.1. */
export const FixedPorts = z.object({
  nats: Port,
  files: Port,
  ssh: z.object({ boltzmann: Port, fermi: Port, hertz: Port }),
  /** The virtual board's own SSH server, as this machine reaches it. */
  board: Port,
});
export type FixedPorts = z.infer<typeof FixedPorts>;

/** How a sandbox was made. The file with these facts marks the folder as one that may be wiped. */
const SandboxFacts = z.object({
  kind: z.literal('kernel-agent sandbox'),
  fleet: FleetName,
  board: z.enum(boardKinds),
  example: z.string(),
  baselineVersion: z.string(),
  fingerprint: Fingerprint,
  /** The folder of the builders' worktrees that outlive the sandbox. */
  worktrees: z.string().optional(),
  /** For a board that learned only once where the fleet is. Absent: free ports are chosen at each start. */
  ports: FixedPorts.optional(),
});
export type SandboxFacts = z.infer<typeof SandboxFacts>;

/** @throws {Error} if the folder is no sandbox, or an incomplete one. */
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
