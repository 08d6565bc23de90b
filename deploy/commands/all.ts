import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import type { ConfigPlaces } from '../../coordinator/commands/options.ts';
import { defaultCacheFolder, defaultSandboxFolder, installedConfig } from '../places/default-folders.ts';
import { sandboxPlaces } from '../places/sandbox-places.ts';

const places: ConfigPlaces = {
  // An installed fleet takes precedence over a sandbox that once ran here.
  candidates: [installedConfig, sandboxPlaces(defaultSandboxFolder()).operatorConfig],
  cacheFolder: defaultCacheFolder(),
};

/** The headings of the help, with the commands under each. */
export const headings: Readonly<Record<string, readonly string[]>> = {
  'Plan and start:': ['plan', 'schema', 'iterate'],
  'Follow:': ['status', 'watch', 'log', 'output'],
  'Decide:': ['review', 'approve', 'reject', 'retry', 'abort', 'waive'],
  'Prove:': ['audit', 'report', 'replay', 'export'],
  'Fleet:': ['fleet', 'key', 'enrol', 'retire', 'doctor'],
  'Lab:': ['demo', 'up', 'down', 'lab'],
  'Help:': ['completion', 'help'],
};

interface CommandFile {
  /** The commands that it adds. */
  names: readonly string[];
  add: (program: Command) => Promise<void>;
}

/**
 * The files of the commands. Each is loaded only when one of its commands is called: loading all of them takes longer
 * than most commands.
 */
export const commandFiles: readonly CommandFile[] = [
  {
    names: ['plan', 'schema'],
    add: async (program) =>
      (await import('../../coordinator/commands/plan-commands.ts')).addPlanCommands(program, places),
  },
  {
    names: ['iterate', 'status', 'watch', 'review', 'approve', 'reject', 'retry', 'abort', 'waive'],
    add: async (program) =>
      (await import('../../coordinator/commands/iteration-commands.ts')).addIterationCommands(
        program,
        places,
      ),
  },
  {
    names: ['log', 'output'],
    add: async (program) => {
      const { addLogCommands } = await import('../../coordinator/commands/log-commands.ts');
      const { restoreMeans } = await import('../local-fleet/restore-sources.ts');
      addLogCommands(program, places, restoreMeans);
    },
  },
  {
    names: ['audit', 'report', 'replay'],
    add: async (program) =>
      (await import('../../coordinator/commands/proof-commands.ts')).addProofCommands(program, places),
  },
  {
    names: ['export'],
    add: async (program) =>
      (await import('../../coordinator/commands/export-command.ts')).addExportCommand(program, places),
  },
  {
    names: ['fleet'],
    add: async (program) => {
      const { addFleetCommands } = await import('../../coordinator/commands/fleet-commands.ts');
      addFleetCommands(program, places);
      (await import('./nats-config.ts')).addNatsConfigCommand(program, places);
      (await import('./make-log.ts')).addMakeLogCommand(program, places);
      (await import('./trust-file.ts')).addTrustFileCommand(program, places);
      (await import('./readmit.ts')).addReadmitCommand(program);
    },
  },
  {
    names: ['key'],
    add: async (program) =>
      (await import('../../coordinator/commands/key-commands.ts')).addKeyCommands(program, places),
  },
  {
    names: ['enrol', 'retire'],
    add: async (program) => (await import('./enrol.ts')).addEnrolCommands(program, places),
  },
  {
    names: ['doctor'],
    add: async (program) => void (await import('./doctor.ts')).addDoctorCommand(program, places),
  },
  {
    names: ['demo'],
    add: async (program) => (await import('./demo.ts')).addDemoCommand(program),
  },
  {
    names: ['up', 'down'],
    add: async (program) => (await import('./sandbox-commands.ts')).addSandboxCommands(program),
  },
  {
    names: ['lab'],
    add: async (program) => void (await import('./lab.ts')).addLabCommands(program),
  },
  // The last one: it completes the commands that were added before.
  {
    names: ['completion'],
    add: async (program) => (await import('./completion.ts')).addCompletionCommand(program),
  },
];

const filesFor = (asked: string | undefined): readonly CommandFile[] => {
  if (asked === '--version' || asked === '-V') return [];
  const one = commandFiles.find(({ names }) => asked !== undefined && names.includes(asked));
  return one ? [one] : commandFiles;
};

/**
 * Zod compiles a parser for each schema that it uses. That pays for commands that read thousands of events; for all
 * others the compilation takes longer than the rest of the command.
 */
const sparesCompiling = (words: readonly string[]): boolean => words[0] !== 'replay' && !verifies(words);

const verifies = (words: readonly string[]): boolean => words[0] === 'audit' && words.includes('--verify');

/** How many threads Node's pool has unless it is told otherwise. */
const threadsOfPool = 4;

/**
 * Adds the commands.
 * @param words the command line: if its first word names a command, only that command's file is loaded.
 */
export const addCommands = async (program: Command, words: readonly string[]): Promise<void> => {
  const files = filesFor(words[0]);
  if (files.length > 0 && sparesCompiling(words)) (await import('zod')).config({ jitless: true });
  // Signatures are checked in the pool, which reads this when it is first used.
  if (verifies(words) && availableParallelism() > threadsOfPool)
    process.env.UV_THREADPOOL_SIZE ??= String(availableParallelism());
  for (const { add } of files) await add(program);
  program.commandsGroup('Help:').helpCommand(true);
  for (const [heading, names] of Object.entries(headings))
    for (const command of program.commands) if (names.includes(command.name())) command.helpGroup(heading);
};
