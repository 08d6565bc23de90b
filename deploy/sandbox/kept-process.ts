import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { identify, type ProcessIdentity } from './process-identity.ts';

/** A daemon that is started again whenever it ends by itself. */
export interface KeptProcess {
  readonly identity: ProcessIdentity | undefined;
  readonly restarts: number;
  readonly why: string | undefined;
  start(): void;
  /** SIGTERM, as systemd would; SIGKILL after 10 s. It then stays down until it is started. */
  stop(): Promise<void>;
}

const firstPauseMs = 250;
const longestPauseMs = 10_000;
const graceMs = 10_000;
/** A process that ran so long had a good start: the next pause is short again. */
const settledMs = 20_000;

/**
 * @param argv Asked anew for each start.
 * @param onChange Told whenever it has started or ended.
 */
export const keepProcess = (
  { argv, logFile }: { argv: () => readonly string[]; logFile: string },
  onChange: () => void,
): KeptProcess => {
  let child: ChildProcess | undefined;
  let identity: ProcessIdentity | undefined;
  let wanted = false;
  let restarts = 0;
  let pauseMs = firstPauseMs;
  let why: string | undefined;
  let pause: NodeJS.Timeout | undefined;

  const launch = () => {
    const [program, ...args] = argv();
    if (program === undefined) throw new TypeError('an empty argv');
    mkdirSync(dirname(logFile), { recursive: true });
    const log = openSync(logFile, 'a');
    const started = spawn(program, args, { stdio: ['ignore', log, log] });
    closeSync(log);
    const since = Date.now();
    child = started;
    identity = started.pid === undefined ? undefined : identify(started.pid);
    why = undefined;
    let ended = false;
    const onEnd = (how: string) => {
      if (ended) return;
      ended = true;
      child = undefined;
      identity = undefined;
      if (wanted) {
        why = how;
        restarts += 1;
        pauseMs = Date.now() - since > settledMs ? firstPauseMs : Math.min(pauseMs * 2, longestPauseMs);
        pause = setTimeout(launch, pauseMs);
      }
      onChange();
    };
    started.once('exit', (code, name) => onEnd(name ? `ended by ${name}` : `ended with exit code ${code}`));
    started.once('error', (error) => onEnd(error.message));
    onChange();
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
      wanted = false;
      clearTimeout(pause);
      const running = child;
      if (!running || running.exitCode !== null || running.signalCode !== null) return;
      const ended = once(running, 'exit');
      running.kill('SIGTERM');
      const inTime = await Promise.race([ended.then(() => true), sleep(graceMs, false, { ref: false })]);
      if (!inTime) {
        running.kill('SIGKILL');
        await ended;
      }
    },
  };
};
