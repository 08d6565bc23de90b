import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { OperatorConfig } from '../../schemas/config.ts';
import { printableJson, styledLines } from '../../schemas/printable.ts';
import type { Iteration, State } from '../decider/state.ts';
import { refusalWords } from '../reading/english/refusals.ts';
import { Refused } from '../refused.ts';
import { openSession, type Session } from './session.ts';

/** What every command that reads a fleet's log takes. */
export interface FleetOptions {
  config?: string;
  json?: boolean;
  /** Who acts. */
  as?: string;
}

/** Where the command line's config is looked for. The first file found wins. */
export interface ConfigPlaces {
  /** The installed config, and that of the running sandbox. */
  candidates: readonly string[];
  /** For the copies of logs, unless the config names another folder; without any, nothing is copied. */
  cacheFolder?: string;
}

/** The config file to use. @throws {Refused} with the places that were searched. */
export const configFile = (options: FleetOptions, { candidates }: ConfigPlaces): string => {
  const given = options.config ?? process.env.KA_CONFIG;
  if (given !== undefined) return given;
  const found = candidates.find((file) => existsSync(file));
  if (found === undefined)
    throw new Refused(
      `no fleet is configured: looked for ${candidates.join(' and ')}; start the sandbox with "ka up", or name a config with --config`,
    );
  return found;
};

/**
 * The absolute path of the fleet's file that a command reads or writes: the given one, or else the config's. Prints
 * which one it is. @throws {Refused | ConfigFault}
 */
export const fleetFileToUse = (
  options: FleetOptions & { fleetFile?: string },
  places: ConfigPlaces,
): string => {
  const file = resolve(
    options.fleetFile ?? readConfigFile(configFile(options, places), OperatorConfig).fleetFile,
  );
  progress(`the fleet's file is ${file}`);
  return file;
};

/** Opens a session, hands it over, and closes it whatever happens. */
export const withSession = async <Result>(
  options: FleetOptions,
  places: ConfigPlaces,
  use: (session: Session) => Promise<Result>,
): Promise<Result> => {
  const session = await openSession(configFile(options, places), options.as, places.cacheFolder);
  try {
    return await use(session);
  } finally {
    await session.close();
  }
};

/** @throws {Refused} with the names of the existing iterations. */
export const iterationIn = (state: State, name: string): Iteration => {
  const iteration = state.iterations.get(name);
  if (!iteration) {
    const starts = state.starts.get(name);
    if (starts?.open.length) throw new Refused(`${name} waits for the coordinator's answer to its start`);
    if (starts?.refused)
      throw new Refused(`${name} was refused: ${refusalWords(name, starts.refused.reason)}`);
    const names = [...state.iterations.keys()].join(', ') || 'none yet';
    throw new Refused(`there is no iteration "${name}"; the log holds ${names}`);
  }
  return iteration;
};

/**
 * Standard output: what people asked for. Of the control characters, only this program's own colours and line ends
 * pass; text that others have written is made printable where it enters a line.
 */
export const print = (text: string): void => void process.stdout.write(`${styledLines(text)}\n`);
/** Standard output: a JSON document. @param indent blanks per level; without it, the document is one line. */
export const printJson = (document: unknown, indent?: number): void =>
  void process.stdout.write(`${printableJson(document, indent)}\n`);
/** Standard error: everything else. */
export const say = (text: string): void => void process.stderr.write(`${styledLines(text)}\n`);

/** Tells a person what is being done now. */
export const progress = (line: string): void => say(`· ${line}`);
