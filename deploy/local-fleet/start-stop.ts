import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type SandboxPlaces, sandboxPlaces } from '../places/sandbox-places.ts';
import { lastLine } from '../processes/last-line.ts';
import { nodeArgv } from '../processes/node-argv.ts';
import { end, isRunning } from '../processes/process-identity.ts';
import { endsWithinMs, readyWithinMs } from './board/board-kind.ts';
import { readFacts } from './sandbox-facts.ts';
import { howToStop, sandboxHolder } from './sandbox-lock.ts';
import { endLeftovers, readState, type SupervisorState } from './sandbox-state.ts';

/** The time that the servers may take, in addition to the hosts. */
const serversWithinMs = 30_000;

/**
 * Starts the fleet that was set up in a folder, in a separate process that outlives this one. It is ready when this
 * returns: the log can be reached and every host has sent a presence.
 * @throws {Error} in one sentence, if a fleet runs there already, none was set up there, or it doesn't come up.
 */
export const startSandbox = async (folder: string): Promise<void> => {
  const places = sandboxPlaces(folder);
  const holder = existsSync(places.folder) ? sandboxHolder(places) : undefined;
  if (holder)
    throw new Error(`a sandbox fleet runs in ${places.folder} (process ${holder.pid}); ${howToStop(places)}`);
  const startsWithinMs = serversWithinMs + readyWithinMs[(await readFacts(places)).board];
  await endLeftovers(places);
  const logFile = places.log('supervisor');
  mkdirSync(dirname(logFile), { recursive: true });
  const log = openSync(logFile, 'a');
  const [program = '', ...args] = nodeArgv('deploy/supervisor-main.ts', places.folder);
  const supervisor = spawn(program, args, { detached: true, stdio: ['ignore', log, log], cwd: '/' });
  closeSync(log);
  let ended = supervisor.pid === undefined;
  supervisor.once('exit', () => {
    ended = true;
  });
  supervisor.unref();
  for (let waitedMs = 0; waitedMs < startsWithinMs; waitedMs += 50) {
    await sleep(50);
    const state = sandboxHolder(places)?.pid === supervisor.pid ? readState(places) : undefined;
    if (state?.phase === 'ready') return;
    if (ended) {
      const failed = readState(places);
      throw new Error(
        `the sandbox fleet did not start: ${(failed?.phase === 'failed' && failed.why) || lastLine(logFile)}`,
      );
    }
  }
  await stopSandbox(folder);
  throw new Error(`the sandbox fleet did not start within ${startsWithinMs / 1000} s; see ${logFile}`);
};

/**
 * Stops a fleet: its supervisor, which ends its processes in order, and the processes that a killed supervisor has
 * left.
 * @returns false if nothing ran there.
 */
export const stopSandbox = async (folder: string): Promise<boolean> => {
  const places = sandboxPlaces(folder);
  const holder = sandboxHolder(places);
  const board = await readFacts(places).then(
    (facts) => facts.board,
    () => 'folder' as const, // it is being set up
  );
  if (holder) await end(holder, endsWithinMs[board]);
  const left = (readState(places)?.processes ?? []).some(({ process }) => process && isRunning(process));
  if (left) await endLeftovers(places);
  return holder !== undefined || left;
};

interface SandboxStatus {
  places: SandboxPlaces;
  /** The supervisor's state, if the supervisor runs. */
  state: SupervisorState | undefined;
  /** The supervisor's process. */
  pid: number | undefined;
  /** The example with which it was set up; undefined if it was not. */
  example: string | undefined;
}

/** The state of the sandbox in a folder. */
export const sandboxStatus = async (folder: string): Promise<SandboxStatus> => {
  const places = sandboxPlaces(folder);
  const holder = sandboxHolder(places);
  return {
    places,
    state: holder ? readState(places) : undefined,
    pid: holder?.pid,
    example: await readFacts(places).then(
      (facts) => facts.example,
      () => undefined,
    ),
  };
};
