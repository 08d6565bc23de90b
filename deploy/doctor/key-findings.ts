import { dirname } from 'node:path';
import { fleetPins, hostPins, type PinsFile } from '../../coordinator/commands/writer-config.ts';
import { keyFileFault, keyFolderFault, readKeyFile } from '../../eventlog/signing/key-file.ts';
import { type Finding, fine, wrong } from './finding.ts';
import { keysOf, type LocalConfig } from './local-configs.ts';

const because = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What is wrong with a key's file or its folder; undefined if nothing is. */
const placeFinding = (what: string, keyFile: string): Finding | undefined => {
  let fault: string | undefined;
  try {
    fault = keyFileFault(keyFile);
    if (fault !== undefined)
      return wrong(what, fault, `chmod 0600 ${keyFile}, and chown it to whom its daemon runs as`);
    fault = keyFolderFault(keyFile);
  } catch (error) {
    return wrong(what, because(error), `make the key: ka key make ${keyFile}`);
  }
  return fault === undefined ? undefined : wrong(what, fault, `chmod go-w ${dirname(keyFile)}`);
};

const pinFinding = (
  what: string,
  { writer, keyFile }: { writer: string; keyFile: string },
  { file: pinnedIn, trust }: PinsFile,
): Finding => {
  let own: string;
  try {
    own = readKeyFile(keyFile).publicKey;
  } catch (error) {
    const { code } =
      (error instanceof Error ? (error.cause as { code?: string } | undefined) : undefined) ?? {};
    if (code === 'EACCES')
      return fine(what, 'in its place; only its owner can check whether it is the pinned one');
    return wrong(what, because(error), `put the key back, or make one: ka key make FILE`);
  }
  try {
    const keys = trust().writers.get(writer)?.keys ?? [];
    if (keys[0] === own) return fine(what, `${own}, as ${pinnedIn} pins it`);
    const mend = `pin it in ${pinnedIn}, or put the right key in ${keyFile}; see what the log holds: ka key show`;
    return keys.includes(own)
      ? wrong(
          what,
          `it is ${own}, and ${pinnedIn} pins a newer one: ${keys[0]}`,
          'rotate it: ka key rotate, then restart the daemon',
        )
      : wrong(what, `it is ${own}, and ${pinnedIn} pins ${keys[0] ?? 'none'} for ${writer}`, mend);
  } catch (error) {
    return wrong(what, because(error), `put right ${pinnedIn}`);
  }
};

const pinsOf = ({ fleetFile, trustFile }: LocalConfig): PinsFile | undefined => {
  if (trustFile !== undefined) return hostPins(trustFile);
  return fleetFile === undefined ? undefined : fleetPins(fleetFile);
};

/**
 * A finding for each key that a config on this machine names: whether its file is safe, and whether it is the pinned
 * key.
 */
export const keyFindings = (configs: readonly LocalConfig[]): Finding[] =>
  configs.flatMap((config) =>
    keysOf(config).flatMap(({ writer, keyFile }) => {
      const what = `key of ${writer}, ${keyFile}`;
      const pins = pinsOf(config);
      return placeFinding(what, keyFile) ?? (pins ? pinFinding(what, { writer, keyFile }, pins) : []);
    }),
  );
