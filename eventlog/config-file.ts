import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { readYaml, spellFaults } from '../schemas/yaml-file.ts';

/** A config file can't be used. The message has one `file:line:column: what is wrong` a line. */
export class ConfigFault extends Error {
  override readonly name = 'ConfigFault';
}

/** Reads a daemon's own config, or the fleet's file. @throws {ConfigFault} */
export const readConfigFile = <Schema extends z.ZodType>(file: string, schema: Schema): z.infer<Schema> => {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigFault(`${file}:1:1: can't be read (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
  const { value, faults } = readYaml(text, schema);
  if (value === undefined) throw new ConfigFault(spellFaults(file, faults).join('\n'));
  return value;
};
