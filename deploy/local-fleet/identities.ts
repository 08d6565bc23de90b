import { writeFile } from 'node:fs/promises';
import { generateWriterKey, readWriterKey } from '../../eventlog/signing/writer-key.ts';
import {
  hostNames,
  type SandboxLogin,
  type SandboxPlaces,
  sandboxHosts,
  writerNames,
} from '../places/sandbox-places.ts';
import { generateSshKey } from '../sshd.ts';
import type { BoardKind } from './board/board-kind.ts';

const writeSecret = (file: string, text: string) => writeFile(file, text, { mode: 0o600 });

/** Each writer's public key, the administrator's and the keeper's. */
export type Identities = Partial<Record<SandboxLogin, string>>;

/** Makes every writer's key and every host's SSH key, in existing folders. A virtual board makes its own keys. */
export const makeIdentities = async (places: SandboxPlaces, board: BoardKind): Promise<Identities> => {
  const isMadeHere = (writer: SandboxLogin) =>
    board === 'folder' || sandboxHosts[writer as keyof typeof sandboxHosts] !== 'board';
  const publicKeys: Identities = {};
  for (const writer of ([...writerNames, 'admin', 'keeper'] as const).filter(isMadeHere)) {
    const seed = generateWriterKey();
    await writeSecret(places.keyFile(writer), `${seed}\n`);
    publicKeys[writer] = readWriterKey(seed).publicKey;
  }
  await Promise.all(hostNames.filter(isMadeHere).map((host) => generateSshKey(places.sshKey(host))));
  return publicKeys;
};
