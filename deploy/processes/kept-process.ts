import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { staysDownCode } from '../../agents/runtime/errors.ts';
import { identify, type ProcessIdentity } from './process-identity.ts';
import { killTree } from './process-tree.ts';

/**
 * A daemon that is restarted whenever it ends by itself: at once after a SIGKILL, which is no fault of its own; never
 * after exit code 78 (EX_CONFIG, sysexits.h), with which it asks not to be restarted.
 */
export interface KeptProcess {
  readonly identity: ProcessIdentity | undefined;
  readonly restarts: number;
  readonly why: string | undefined;
  start(): void;
  /**
   * Asks it to end: by default SIGTERM, as systemd would, and SIGKILL after 10 s. It then stays down until it is
   * started.
   */
  stop(): Promise<void>;
  /** SIGKILL to it and all its descendants, as a power cut would. It then stays down until it is started. */
  kill(): Promise<void>;
}

/** A process to keep running, and how to end it. */
export interface Kept {
  /** Called for each start. */
  argv: () => readonly string[];
  /** How to ask it to end, if not by SIGTERM, and how long that may take. */
  end?: { ask: () => Promise<unknown>; withinMs: number };
}

const firstPauseMs = 250;
const longestPauseMs = 10_000;
const graceMs = 10_000;
/** After a run of this length, the next pause is short again. */
const settledMs = 20_000;

/** How a process ended, and when to restart it. */
interface Ended {
  how: string;
  next: 'at once' | 'after a pause' | 'never';
}

const readExit = (code: number | null, name: NodeJS.Signals | null): Ended => {
  if (name === 'SIGKILL') return { how: `ended by ${name}`, next: 'at once' };
  if (code === staysDownCode) return { how: `ended with exit code ${code}`, next: 'never' };
  return { how: name ? `ended by ${name}` : `ended with exit code ${code}`, next: 'after a pause' };
};

/** The pause before the next restart of a process that keeps ending: twice the one before. */
const pauseAfter = (pauseMs: number, ranMs: number): number =>
  ranMs > settledMs ? firstPauseMs : Math.min(pauseMs * 2, longestPauseMs);

const spawnLogged = (argv: readonly string[], logFile: string): ChildProcess => {
  const [program, ...args] = argv;
  if (program === undefined) throw new TypeError('an empty argv');
  mkdirSync(dirname(logFile), { recursive: true });
  const log = openSync(logFile, 'a');
  const child = spawn(program, args, { stdio: ['ignore', log, log] });
  closeSync(log);
  return child;
};

/** Starts it once. @param onEnd called once, however it ends, with the milliseconds that it ran. */
const launchOnce = (
  argv: readonly string[],
  logFile: string,
  onEnd: (ended: Ended, ranMs: number) => void,
): ChildProcess => {
  const child = spawnLogged(argv, logFile);
  const since = Date.now();
  let hasEnded = false;
  const end = (ended: Ended) => {
    if (hasEnded) return;
    hasEnded = true;
    onEnd(ended, Date.now() - since);
  };
  child.once('exit', (code, name) => end(readExit(code, name)));
  child.once('error', (error) => end({ how: error.message, next: 'after a pause' }));
  return child;
};

/** Lets a process end in order, or kills it if that takes too long. */
const endInOrder = async (running: ChildProcess, end: Kept['end']): Promise<void> => {
  const ended = once(running, 'exit');
  if (end) await end.ask().catch(() => running.kill('SIGTERM'));
  else running.kill('SIGTERM');
  const within = sleep(end?.withinMs ?? graceMs, false, { ref: false });
  const inTime = await Promise.race([ended.then(() => true), within]);
  if (inTime) return;
  running.kill('SIGKILL');
  await ended;
};

/** Returns a kept process, not started yet. @param onChange called whenever it has started or ended. */
export const keepProcess = (
  { argv, end, logFile }: Kept & { logFile: string },
  onChange: () => void,
): KeptProcess => {
  let child: ChildProcess | undefined;
  let identity: ProcessIdentity | undefined;
  let wanted = false;
  let restarts = 0;
  let why: string | undefined;
  let pause: NodeJS.Timeout | undefined;
  let pauseMs = firstPauseMs;

  const launch = () => {
    child = launchOnce(argv(), logFile, onEnd);
    identity = child.pid === undefined ? undefined : identify(child.pid);
    why = undefined;
    onChange();
  };
  const onEnd = ({ how, next }: Ended, ranMs: number) => {
    child = undefined;
    identity = undefined;
    if (wanted && next === 'never') {
      why = `${how} and stays down`;
      wanted = false;
    } else if (wanted) {
      why = how;
      restarts += 1;
      if (next === 'at once') return launch();
      pauseMs = pauseAfter(pauseMs, ranMs);
      pause = setTimeout(launch, pauseMs);
    }
    onChange();
  };

  /** Marks the process as not wanted any more. @returns it if it runs, so that the caller can end it. */
  const giveUp = (): ChildProcess | undefined => {
    wanted = false;
    clearTimeout(pause);
    return child?.exitCode === null && child.signalCode === null ? child : undefined;
  };

  return {
    get identity() {
      return identity;
    },
    get restarts() {
      return restarts;
    },
    get why() {
      return why;
    },
    start: () => {
      if (wanted) return;
      wanted = true;
      pauseMs = firstPauseMs;
      launch();
    },
    stop: async () => {
      const running = giveUp();
      if (running) await endInOrder(running, end);
    },
    kill: async () => {
      const running = giveUp();
      if (running?.pid === undefined) return;
      const ended = once(running, 'exit');
      killTree(running.pid);
      await ended;
    },
  };
};
