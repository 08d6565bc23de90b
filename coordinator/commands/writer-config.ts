import { z } from 'zod';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { type Trust, trustIn, trustOf } from '../../eventlog/signing/trust.ts';
import { AgentConfig, CoordinatorConfig } from '../../schemas/config.ts';
import { coordinator } from '../../schemas/events.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { TrustFile } from '../../schemas/trust-file.ts';

/** The file that pins a daemon's key: the fleet's file, or the trust file that is made of it. */
export type PinsFile = { file: string; trust: () => Trust };

/** The pins of the coordinator and of people. */
export const fleetPins = (file: string): PinsFile => ({
  file,
  trust: () => trustIn(readConfigFile(file, Fleet)),
});

/** The pins of a host. */
export const hostPins = (file: string): PinsFile => ({
  file,
  trust: () => trustOf(readConfigFile(file, TrustFile)),
});

/** Whose config a file is: a daemon's, with its key, or people's. */
export type WriterConfig =
  | { kind: 'people' }
  | { kind: 'daemon'; writer: string; keyFile: string; pins: PinsFile };

/** The members of any kernel-agent config that show whose it is. */
const AnyConfig = z.looseObject({ host: z.unknown().optional(), identities: z.unknown().optional() });

/** @throws {ConfigFault} */
export const readWriterConfig = (file: string): WriterConfig => {
  const { host, identities } = readConfigFile(file, AnyConfig);
  if (identities !== undefined) return { kind: 'people' };
  if (host === undefined) {
    const { keyFile, fleetFile } = readConfigFile(file, CoordinatorConfig);
    return { kind: 'daemon', writer: coordinator, keyFile, pins: fleetPins(fleetFile) };
  }
  const { host: writer, keyFile, trustFile } = readConfigFile(file, AgentConfig);
  return { kind: 'daemon', writer, keyFile, pins: hostPins(trustFile) };
};
