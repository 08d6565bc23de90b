import { execa } from 'execa';
import { ProgramFailed } from './errors.ts';

export interface RunOptions {
  cwd?: string;
  /** The program's whole environment, but for what `baseEnvironment` gives. Nothing of the agent's own leaks in. */
  env?: Readonly<Record<string, string>>;
  /** Default 10 minutes. */
  timeoutMs?: number;
  input?: string | Uint8Array;
  /** The exit codes that are answers. Default: 0 alone. */
  exitCodes?: readonly number[];
  /** Keep the output out of the step's stream: it is read by the program's caller and says nothing to people. */
  quiet?: boolean;
  /** Leave the program alone when the agent stops: a pacman that is killed half-way leaves half a system. */
  outlive?: boolean;
}

export interface Ran {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs a program: argv as it stands, never a shell; its own process group; a time limit.
 * @throws {ProgramFailed} if it can't be started, exceeds its limit, is killed, or ends with another exit code.
 */
export type Run = (
  argv: readonly [string, ...string[]] | readonly string[],
  options?: RunOptions,
) => Promise<Ran>;

const baseEnvironment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
};

/** The most that is kept of what a program prints, in characters. The step's stream carries all of it. */
const keptCharacters = 64 * 1024 * 1024;

const endOfGroup = async (pid: number | undefined): Promise<void> => {
  if (pid === undefined) return;
  const send = (signal: NodeJS.Signals) => {
    try {
      process.kill(-pid, signal);
      return true;
    } catch {
      return false; // the group is gone
    }
  };
  if (!send('SIGTERM')) return;
  for (let waited = 0; waited < 5000; waited += 100) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    try {
      process.kill(-pid, 0);
    } catch {
      return;
    }
  }
  send('SIGKILL');
};

/** A {@link Run} that hands each line of output to `onLine` and ends what it runs when `signal` fires. */
export const createRun =
  (onLine: (line: string) => void, signal?: AbortSignal): Run =>
  async (argv, options = {}) => {
    const [program] = argv;
    if (program === undefined) throw new TypeError('run: an empty argv');
    const { timeoutMs = 600_000, exitCodes = [0] } = options;
    if (signal?.aborted && !options.outlive) signal.throwIfAborted();
    // Once the agent is gone nobody reads what an outliving program prints, and SIGPIPE would end it half-way.
    const [file = '', ...args] = options.outlive ? ['env', '--ignore-signal=PIPE', ...argv] : argv;
    const child = execa(file, args, {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
      env: { ...baseEnvironment, ...options.env },
      extendEnv: false,
      detached: true,
      cleanup: false,
      reject: false,
      maxBuffer: keptCharacters,
      stripFinalNewline: false,
    });
    let ended: 'time' | 'stop' | undefined;
    const stop = (why: 'time' | 'stop') => {
      ended ??= why;
      void endOfGroup(child.pid);
    };
    const onAbort = () => stop('stop');
    if (!options.outlive) signal?.addEventListener('abort', onAbort, { once: true });
    const timer = setTimeout(() => stop('time'), timeoutMs);
    if (!options.quiet) {
      const lines = async (from: 'stdout' | 'stderr') => {
        for await (const line of child.iterable({ from })) onLine(String(line));
      };
      // A program that closes its output early is judged by its exit code, not here.
      void lines('stdout').catch(() => undefined);
      void lines('stderr').catch(() => undefined);
    }
    const result = await child;
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    const facts = { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr };
    if (ended === 'stop') signal?.throwIfAborted();
    if (ended === 'time')
      throw new ProgramFailed(
        program,
        `did not end within ${Math.round(timeoutMs / 1000)} s and was stopped`,
        facts,
      );
    if (result.exitCode === undefined) {
      const how = result.isTerminated ? `was ended by ${result.signal}` : 'could not be started';
      throw new ProgramFailed(
        program,
        `${how}${result.isTerminated ? '' : `: ${result.originalMessage ?? ''}`}`,
        {
          ...facts,
          cause: result.cause,
        },
      );
    }
    if (!exitCodes.includes(result.exitCode))
      throw new ProgramFailed(program, `ended with exit code ${result.exitCode}`, facts);
    return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr };
  };
