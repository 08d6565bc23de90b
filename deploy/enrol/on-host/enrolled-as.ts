import { existsSync } from 'node:fs';
import { z } from 'zod';
import { readConfigFile } from '../../../eventlog/files/config-file.ts';

/** As what a machine is enrolled, by its agent's config. */
export const EnrolledAs = z.object({ fleet: z.string(), host: z.string(), keyFile: z.string() });
export type EnrolledAs = z.infer<typeof EnrolledAs>;

/** @returns null if no agent is enrolled. @throws {ConfigFault} if the config can't be read. */
export const readEnrolledAs = (configFile: string): EnrolledAs | null =>
  existsSync(configFile) ? readConfigFile(configFile, EnrolledAs) : null;
