import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';

const checkout = resolve(import.meta.dirname, '..');

export const exampleFolder = join(checkout, 'examples/iteration-5');

export interface KaRan {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs the command line as a person does, by its one entry. @returns its streams and exit code.
 * @param onLine called with each line of standard output as it comes.
 * @param signal ends it.
 */
export const ka = async (
  args: readonly string[],
  env: Record<string, string> = {},
  onLine: (line: string) => void = () => undefined,
  signal = new AbortController().signal,
): Promise<KaRan> => {
  const options = { env, reject: false, stdin: 'ignore', cancelSignal: signal } as const;
  const running = execa(join(checkout, 'ka'), args, options);
  const reader = createInterface(running.stdout).on('line', onLine);
  const { exitCode, stdout, stderr } = await running;
  reader.close();
  return { exitCode: exitCode ?? -1, stdout, stderr };
};

/** Makes a folder for one test, which an unprivileged build can reach too. */
export const testFolder = async (name: string): Promise<{ folder: string; remove: () => Promise<void> }> => {
  const folder = await mkdtemp(join(tmpdir(), `ka-${name}-`));
  await execa('chmod', ['755', folder]);
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
};
