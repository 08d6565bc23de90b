import { readFileSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { type SandboxPlaces, sandboxHosts } from '../places/sandbox-places.ts';
import { end } from '../processes/process-identity.ts';

const Running = z.object({
  name: z.string(),
  /** Null while it is down: between an exit and the next start, or because the board does not boot. */
  process: z.object({ pid: z.int(), startTicks: z.string() }).nullable(),
  /** How often it was restarted after it had ended by itself. */
  restarts: z.int(),
  /** Why it is down, if it is. */
  why: z.string().optional(),
});

/** The state of the supervisor and of the processes that it runs. */
export const SupervisorState = z.object({
  phase: z.enum(['starting', 'ready', 'failed', 'stopping', 'stopped']),
  why: z.string().optional(),
  natsUrl: z.string().optional(),
  processes: z.array(Running),
});
export type SupervisorState = z.infer<typeof SupervisorState>;

export const readState = ({ stateFile }: SandboxPlaces): SupervisorState | undefined => {
  try {
    return SupervisorState.parse(JSON.parse(readFileSync(stateFile, 'utf8')));
  } catch {
    return undefined; // it never ran
  }
};

const writeState = async ({ stateFile }: SandboxPlaces, state: SupervisorState): Promise<void> => {
  await writeFile(`${stateFile}.part`, `${JSON.stringify(state, null, 2)}\n`);
  await rename(`${stateFile}.part`, stateFile);
};

/**
 * Keeps the supervisor's state in a file for others to read. The returned function applies a change and writes the
 * state with the present processes, one write after the other.
 */
export const createStateWriter = (places: SandboxPlaces, processes: () => SupervisorState['processes']) => {
  const state: SupervisorState = { phase: 'starting', processes: [] };
  let writing = Promise.resolve();
  return (change: Partial<SupervisorState> = {}): Promise<void> => {
    Object.assign(state, change, { processes: processes() });
    writing = writing
      .then(() => writeState(places, state))
      .catch((error: unknown) => console.error(error instanceof Error ? error.message : error));
    return writing;
  };
};

/**
 * Ends the processes that a killed supervisor has left running, exactly those that it noted, and removes its state
 * files.
 */
export const endLeftovers = async (places: SandboxPlaces): Promise<void> => {
  const left = readState(places)?.processes ?? [];
  const endThose = (which: (name: string) => boolean) =>
    Promise.all(left.flatMap(({ name, process }) => (process && which(name) ? end(process) : [])));
  // An agent sends its last messages to the log when it ends, so the servers are ended after it.
  const isDaemon = (name: string) =>
    name === 'coordinator' || name === 'keeper' || Object.hasOwn(sandboxHosts, name);
  await endThose(isDaemon);
  await endThose((name) => !isDaemon(name));
  for (const file of [places.portFile, places.stateFile]) await rm(file, { force: true });
};
