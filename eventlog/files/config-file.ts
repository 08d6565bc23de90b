import type { z } from 'zod';
import { longestYamlBytes, readYaml, spellFaults } from '../../schemas/yaml-file.ts';
import { NoPlainFile, readPlainFile } from './plain-file.ts';

/** A config file can't be used. Each line of the message is one `file:line:column: what is wrong`. */
export class ConfigFault extends Error {
  override readonly name = 'ConfigFault';
}

/** Reads a daemon's own config, or the fleet's file. @throws {ConfigFault} */
export const readConfigFile = <Schema extends z.ZodType>(file: string, schema: Schema): z.infer<Schema> => {
  let text: string;
  try {
    text = readPlainFile(file, longestYamlBytes).toString('utf8');
  } catch (cause) {
    const why =
      cause instanceof NoPlainFile
        ? cause.message
        : `can't be read (${(cause as NodeJS.ErrnoException).code})`;
    throw new ConfigFault(spellFaults(file, [{ line: 1, column: 1, message: why }]).join(''), { cause });
  }
  const { value, faults } = readYaml(text, schema);
  if (value === undefined) throw new ConfigFault(spellFaults(file, faults).join('\n'));
  return value;
};
