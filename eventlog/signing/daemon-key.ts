import { existsSync } from 'node:fs';
import { formerKeyFile, nextKeyFile, readKeyFile, readKeyFileIfAny, takeNextKey } from './key-file.ts';
import type { Trust } from './trust.ts';
import type { WriterKey } from './writer-key.ts';

/** What a daemon signs with. */
export interface DaemonKey {
  key: WriterKey;
  /** The key before that one. It signs the rotation, as long as the log does not hold the rotation. */
  former?: WriterKey | undefined;
}

/**
 * Reads a daemon's key. A next key that waits beside it takes its place once the fleet's file pins the next key: by
 * then those who check signatures know it.
 * @param say writes to the daemon's own log.
 * @throws one sentence, if the fleet's file does not pin the key.
 */
export const readDaemonKey = (
  { keyFile, pinnedIn, writer, trust }: { keyFile: string; pinnedIn: string; writer: string; trust: Trust },
  say: (text: string) => void,
): DaemonKey => {
  const pinned = trust.writers.get(writer)?.keys ?? [];
  const own = readKeyFile(keyFile);
  if (!pinned.includes(own.publicKey))
    throw new Error(
      `the key ${keyFile} is ${own.publicKey}, and ${pinnedIn} pins another for ${writer}: ${pinned[0]}`,
    );
  const waiting = nextKeyFile(keyFile);
  if (existsSync(waiting)) {
    const next = readKeyFile(waiting).publicKey;
    if (pinned[0] === next && next !== own.publicKey) {
      takeNextKey(keyFile);
      say(`has a new key, ${next}; nats-server has to know it: ka fleet nats-config`);
    } else say(`the key ${waiting} waits until ${pinnedIn} pins it for ${writer}: ${next}`);
  }
  const key = readKeyFile(keyFile);
  const former = readKeyFileIfAny(formerKeyFile(keyFile));
  // If a key was replaced without a rotation, an older key may still lie there. It is not the former one.
  const isFormer = former !== undefined && pinned[0] === key.publicKey && pinned[1] === former.publicKey;
  return { key, former: isFormer ? former : undefined };
};
