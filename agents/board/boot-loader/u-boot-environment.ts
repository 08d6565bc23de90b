import { ProgramFailed } from '../../../host/errors.ts';
import type { Run } from '../../../host/run.ts';
import { StepFailed } from '../../runtime/errors.ts';

interface Commands {
  setCommand: readonly string[];
  printCommand: readonly string[];
  bootPrintCommand?: readonly string[] | undefined;
}

/**
 * The boot line that boots a trial once; the docs and a refusal show it. The variable is cleared, and the change saved,
 * before anything boots; if it can't be saved, there is no trial. `label` is a shell variable, so that nothing else is
 * saved with it.
 */
export const trialBootLine = (variable: string): string =>
  `if test -n "\${${variable}}"; then label=\${${variable}}; setenv ${variable}; if saveenv; then setenv pxe_label_override \${label}; fi; fi; run distro_bootcmd`;

/** The text of `bootcmd` and of every variable that it runs, directly or not. */
const reached = (variables: ReadonlyMap<string, string>): string => {
  const seen = new Set<string>();
  const follow = (name: string): string => {
    if (seen.has(name)) return '';
    seen.add(name);
    const text = variables.get(name) ?? '';
    const runs = [...text.matchAll(/\brun\s+((?:[\w-]+[ \t]*)+)/g)].flatMap(([, names = '']) =>
      names.trim().split(/\s+/),
    );
    return [text, ...runs.map(follow)].join('\n');
  };
  return follow('bootcmd');
};

/** Whether a command of U-Boot's removes a variable: `setenv NAME`, `env delete [-f] NAME`. */
const clears = (command: string, variable: string): boolean => {
  const words = command.replaceAll(/["']/g, ' ').trim().split(/\s+/);
  if (words.at(-2) === 'setenv' && words.at(-1) === variable) return true;
  const at = words.findIndex((word, index) => word === 'env' && words[index + 1] === 'delete');
  return at >= 0 && words.slice(at + 2).find((word) => !word.startsWith('-')) === variable;
};

/** Why this environment's `bootcmd` can't boot the variable's label once; undefined if it can. */
export const bootLineFault = (
  variables: ReadonlyMap<string, string>,
  variable: string,
): string | undefined => {
  if (!variables.has('bootcmd')) return 'it holds no bootcmd (saveenv at U-Boot’s prompt stores one)';
  if (variables.has('pxe_label_override'))
    return 'it holds pxe_label_override, which would boot each time instead of DEFAULT: remove that';
  const text = reached(variables);
  const name = variable.replaceAll(/\W/g, '\\$&');
  // A variable in a separate environment is imported from its place, and cleared by erasing or writing that place.
  const isNamed = new RegExp(`\\b${name}\\b`);
  if (
    text.split(';').some((part) =>
      isNamed.test(
        part
          .split(/\benv\s+import\b/)
          .slice(1)
          .join(' '),
      ),
    )
  )
    return /\b(erase|write|saveenv|env\s+save)\b/.test(text)
      ? undefined
      : `its bootcmd imports ${variable} and never erases it`;
  if (!new RegExp(`\\$\\{?${name}\\b`).test(text)) return `its bootcmd never looks at ${variable}`;
  if (!text.split(/[;\n]/).some((part) => clears(part, variable)))
    return `its bootcmd never clears ${variable}`;
  if (!/\bsaveenv\b|\benv\s+save\b/.test(text)) return `its bootcmd never saves that ${variable} is cleared`;
  return undefined;
};

/**
 * Whether fw_printenv reported a place without an environment, in the words of libubootenv or of U-Boot's own tools.
 */
const saysErased = (error: unknown): boolean =>
  error instanceof StepFailed &&
  error.cause instanceof ProgramFailed &&
  /Cannot read environment, using default|Bad CRC/.test(error.cause.stderr);

/** U-Boot's environment, through the programs that read and write it: fw_printenv(1), fw_setenv(1). */
export const createUBootEnvironment = (
  run: Run,
  { setCommand, printCommand, bootPrintCommand }: Commands,
) => {
  const readFrom = async (command: readonly string[]): Promise<ReadonlyMap<string, string>> => {
    const { stdout } = await run(command, { quiet: true }).catch((error: unknown) => {
      if (!(error instanceof ProgramFailed)) throw error;
      throw new StepFailed(
        'host',
        `U-Boot's environment can't be read (${error.message}): see fw_env.config, and run saveenv at U-Boot's prompt if it was lost.`,
        { cause: error },
      );
    });
    return new Map(
      stdout.split('\n').flatMap((line) => {
        const at = line.indexOf('=');
        return at > 0 ? [[line.slice(0, at), line.slice(at + 1)] as const] : [];
      }),
    );
  };
  /** @throws {StepFailed} (host) if it can't be read: U-Boot then uses its built-in boot line. */
  const read = async (): Promise<ReadonlyMap<string, string>> => {
    if (bootPrintCommand === undefined) return readFrom(printCommand);
    // A separate environment for the variable is erased when U-Boot clears the variable, and can't be read then.
    return readFrom(printCommand).catch((error: unknown) => {
      if (saysErased(error)) return new Map<string, string>();
      throw error;
    });
  };
  return {
    read,
    /** The environment that holds bootcmd. @throws {StepFailed} (host) if it can't be read. */
    readBoot: () => readFrom(bootPrintCommand ?? printCommand),
    /**
     * Sets or, without a value, removes a variable, and reads it back. @throws {StepFailed} (host) if it reads back
     * differently.
     */
    set: async (name: string, value?: string): Promise<void> => {
      // A half-written environment is lost, so the program that writes it outlives the agent.
      await run([...setCommand, name, ...(value === undefined ? [] : [value])], { outlive: true });
      const found = (await read()).get(name);
      if (found !== value)
        throw new StepFailed(
          'host',
          `U-Boot's environment has ${name}=${found ?? ''} after it was set to "${value ?? ''}": see fw_env.config.`,
        );
    },
  };
};
