import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { execa } from 'execa';
import { PrintedTooMuch, ProgramFailed } from './errors.ts';

export interface RunOptions {
  cwd?: string;
  /** The program's whole environment, besides `baseEnvironment`. Nothing of the agent's own environment leaks in. */
  env?: Readonly<Record<string, string>>;
  /** Default 10 minutes. */
  timeoutMs?: number;
  input?: string | Uint8Array;
  /** The exit codes that are answers. Default: 0 alone. */
  exitCodes?: readonly number[];
  /** Keep the output out of the step's stream: only the program's caller reads it, and people have no use for it. */
  quiet?: boolean;
  /**
   * Writes standard output to a file, or appends it there, instead of keeping it. The program is stopped once it prints
   * more than `atMostBytes`; the file never gets more.
   */
  into?: { file: string; append: boolean; atMostBytes: number };
  /** Let the program run on when the agent stops: a pacman that is killed half-way leaves half a system. */
  outlive?: boolean;
}

export interface Ran {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs a program: argv as it stands, never a shell; its own process group; a time limit.
 * @throws {PrintedTooMuch} if it prints more than is kept; {ProgramFailed} if it can't be started, exceeds its time, is
 * killed, or ends with another exit code; what the disk said, if its output can't be written to the file.
 */
export type Run = (
  argv: readonly [string, ...string[]] | readonly string[],
  options?: RunOptions,
) => Promise<Ran>;

/** Where programs are looked up, whatever the caller's own PATH is. */
export const programPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const baseEnvironment = {
  PATH: programPath,
  LANG: 'C.UTF-8',
};

/** The most that a program may print on one of its outputs: all of it is kept, since callers read it. */
const keptBytes = 64 * 1024 * 1024;

/**
 * Keeps what a program prints. Execa's own buffer would also put all of it into its error's message, and crash on
 * escaping binary output.
 */
const keep = (stream: Readable, onTooMuch: () => void): (() => string) => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= keptBytes) chunks.push(chunk);
    else onTooMuch();
  });
  stream.on('error', () => undefined); // the stream ends, and the exit code tells the rest
  return () => Buffer.concat(chunks).toString('utf8');
};

/** Writes what a program prints to a file, up to the limit. @throws what the disk says. */
const writeInto = async (
  stream: Readable,
  { file, append, atMostBytes }: NonNullable<RunOptions['into']>,
  onTooMuch: () => void,
): Promise<void> => {
  const handle = await open(file, append ? 'a' : 'w');
  try {
    let bytes = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      await handle.appendFile(chunk.subarray(0, atMostBytes - bytes));
      bytes += chunk.length;
      if (bytes <= atMostBytes) continue;
      onTooMuch();
      return;
    }
  } finally {
    await handle.close();
  }
};

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

const start = ([program, ...args]: readonly [string, ...string[]], { cwd, input, env }: RunOptions) =>
  execa(program, args, {
    ...(cwd === undefined ? {} : { cwd }),
    ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
    env: { ...baseEnvironment, ...env },
    extendEnv: false,
    detached: true,
    cleanup: false,
    reject: false,
    buffer: false,
  });
type Child = ReturnType<typeof start>;

/** Why we ended a program: its time was over, the agent stops, or it printed too much. */
type Cause = 'time' | 'stop' | 'size';

/** Ends a child process on request. */
const createEnding = (child: Child) => {
  let cause: Cause | undefined;
  return {
    /** The cause of the first request. */
    cause: () => cause,
    end(why: Cause): void {
      if (cause === why) return;
      cause ??= why;
      void endOfGroup(child.pid).then(() => {
        // A process that left the group may hold the output open for ever. It is not waited for.
        child.stdout.destroy();
        child.stderr.destroy();
      });
    },
  };
};

interface Ended {
  program: string;
  timeoutMs: number;
  exitCodes: readonly number[];
  atMostBytes: number;
  cause: Cause | undefined;
  result: Awaited<Child>;
  facts: { exitCode: number | undefined; stdout: string; stderr: string };
}

/** @throws {ProgramFailed} unless the program ended by itself with one of the expected exit codes. */
const judge = ({ program, timeoutMs, exitCodes, atMostBytes, cause, result, facts }: Ended): Ran => {
  if (cause === 'time')
    throw new ProgramFailed(
      program,
      `did not end within ${Math.round(timeoutMs / 1000)} s and was stopped`,
      facts,
    );
  if (cause === 'size')
    throw new PrintedTooMuch(program, `printed more than ${atMostBytes} bytes and was stopped`, {
      exitCode: facts.exitCode,
      stdout: '',
      stderr: '',
    });
  const { exitCode } = facts;
  if (exitCode === undefined) {
    const how = result.isTerminated
      ? `was ended by ${result.signal}`
      : `could not be started: ${result.originalMessage ?? ''}`;
    throw new ProgramFailed(program, how, { ...facts, cause: result.cause });
  }
  if (!exitCodes.includes(exitCode))
    throw new ProgramFailed(program, `ended with exit code ${exitCode}`, facts);
  return { ...facts, exitCode };
};

/**
 * A {@link Run} that hands each line of output to `onLine` and ends what it runs when `signal` fires.
 * @param onStarted called as soon as a program runs.
 */
export const createRun =
  (onLine: (line: string) => void, signal?: AbortSignal, onStarted: () => void = () => undefined): Run =>
  async (argv, options = {}) => {
    const [program, ...args] = argv;
    if (program === undefined) throw new TypeError('run: an empty argv');
    const { timeoutMs = 600_000, exitCodes = [0] } = options;
    if (signal?.aborted && !options.outlive) signal.throwIfAborted();
    // Once the agent is gone, nobody reads the output of a program that outlives it, and SIGPIPE would end it half-way.
    const child = start(
      options.outlive ? ['env', '--ignore-signal=PIPE', program, ...args] : [program, ...args],
      options,
    );
    if (child.pid !== undefined) onStarted();
    const { end, cause } = createEnding(child);
    const onAbort = () => end('stop');
    if (!options.outlive) signal?.addEventListener('abort', onAbort, { once: true });
    const timer = setTimeout(() => end('time'), timeoutMs);
    const onTooMuch = () => end('size');
    const { into } = options;
    const written = into && writeInto(child.stdout, into, onTooMuch);
    written?.catch(() => end('stop')); // awaited below
    const [stdout, stderr] = [into ? () => '' : keep(child.stdout, onTooMuch), keep(child.stderr, onTooMuch)];
    const lines = async (from: 'stdout' | 'stderr') => {
      for await (const line of child.iterable({ from })) onLine(String(line));
    };
    // A program that closes its output early is judged by its exit code, not here.
    const printed = options.quiet ? [] : [...(into ? [] : [lines('stdout')]), lines('stderr')];
    const allPrinted = Promise.allSettled(printed);
    const result = await child;
    await written;
    await allPrinted; // a failure shows the last lines
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    if (cause() === 'stop') signal?.throwIfAborted();
    const facts = { exitCode: result.exitCode, stdout: stdout(), stderr: stderr() };
    const atMostBytes = into?.atMostBytes ?? keptBytes;
    return judge({ program, timeoutMs, exitCodes, atMostBytes, cause: cause(), result, facts });
  };
