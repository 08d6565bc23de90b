import { z } from 'zod';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { AgentConfig, CoordinatorConfig } from '../../schemas/config.ts';
import { coordinator } from '../../schemas/events.ts';

/** Whose config a file is: a daemon's, with its key, or people's. */
export type WriterConfig =
  | { kind: 'people' }
  | { kind: 'daemon'; writer: string; keyFile: string; fleetFile: string };

/** The members of any kernel-agent config that show whose it is. */
const AnyConfig = z.looseObject({ host: z.unknown().optional(), identities: z.unknown().optional() });

/** @throws {ConfigFault} */
export const readWriterConfig = (file: string): WriterConfig => {
  const { host, identities } = readConfigFile(file, AnyConfig);
  if (identities !== undefined) return { kind: 'people' };
  if (host === undefined) {
    const { keyFile, fleetFile } = readConfigFile(file, CoordinatorConfig);
    return { kind: 'daemon', writer: coordinator, keyFile, fleetFile };
  }
  const config = readConfigFile(file, AgentConfig);
  return { kind: 'daemon', writer: config.host, keyFile: config.keyFile, fleetFile: config.fleetFile };
};
