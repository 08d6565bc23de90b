import { ProgramFailed } from '../../../host/errors.ts';
import type { Run } from '../../../host/run.ts';
import { StepFailed } from '../../runtime/errors.ts';

interface Commands {
  setCommand: readonly string[];
  printCommand: readonly string[];
  bootPrintCommand?: readonly string[] | undefined;
}

/**
 * The boot line that takes a trial once: the docs and a refusal show it. The variable is cleared, and that is saved, before
 * anything boots; if it can't be saved, there is no trial. `label` is the shell's own, so that nothing else is saved with it.
 */
export const trialBootLine = (variable: string): string =>
  `if test -n "\${${variable}}"; then label=\${${variable}}; setenv ${variable}; if saveenv; then setenv pxe_label_override \${label}; fi; fi; run distro_bootcmd`;

/** What `bootcmd` runs, with every variable that it runs in turn. */
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

/** What keeps this environment's `bootcmd` from taking the variable once; undefined if nothing does. */
export const bootLineFault = (
  variables: ReadonlyMap<string, string>,
  variable: string,
): string | undefined => {
  if (!variables.has('bootcmd')) return 'it holds no bootcmd (saveenv at U-Boot’s prompt stores one)';
  if (variables.has('pxe_label_override'))
    return 'it holds pxe_label_override, which would boot each time instead of DEFAULT: remove that';
  const text = reached(variables);
  const name = variable.replaceAll(/\W/g, '\\$&');
  // One of its own is imported from where it stands, and taken by erasing or writing that place.
  if (new RegExp(`\\benv\\s+import\\b[^;]*\\b${name}\\b`).test(text))
    return /\b(erase|write|saveenv|env\s+save)\b/.test(text)
      ? undefined
      : `its bootcmd imports ${variable} and never erases it`;
  if (!new RegExp(`\\$\\{?${name}\\b`).test(text)) return `its bootcmd never looks at ${variable}`;
  if (!new RegExp(`\\bsetenv\\s+${name}\\s*(;|$)|\\benv\\s+delete\\s+(-\\w+\\s+)*${name}\\b`, 'm').test(text))
    return `its bootcmd never clears ${variable}`;
  if (!/\bsaveenv\b|\benv\s+save\b/.test(text)) return `its bootcmd never saves that ${variable} is cleared`;
  return undefined;
};

/** What fw_printenv says of a place that holds no environment: libubootenv's words, and those of U-Boot's own tools. */
const saysErased = (error: unknown): boolean =>
  error instanceof StepFailed &&
  error.cause instanceof ProgramFailed &&
  /Cannot read environment, using default|Bad CRC/.test(error.cause.stderr);

/** U-Boot's environment, by way of the programs that read and write it: fw_printenv(1), fw_setenv(1). */
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
  /** @throws {StepFailed} (host) if it can't be read: U-Boot then boots by the line that it was built with. */
  const read = async (): Promise<ReadonlyMap<string, string>> => {
    if (bootPrintCommand === undefined) return readFrom(printCommand);
    // One that holds nothing but the variable is erased by taking it, and can't be read then.
    return readFrom(printCommand).catch((error: unknown) => {
      if (saysErased(error)) return new Map<string, string>();
      throw error;
    });
  };
  return {
    read,
    /** The environment that holds bootcmd. @throws {StepFailed} (host) if it can't be read. */
    readBoot: () => readFrom(bootPrintCommand ?? printCommand),
    /** Sets or, without a value, removes a variable, and reads it back. @throws {StepFailed} (host) if that isn't so then. */
    set: async (name: string, value?: string): Promise<void> => {
      // Half of one is none: the agent's end must not be that of what writes it.
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
