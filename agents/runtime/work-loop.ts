import { type AttemptId, isSameAttempt } from '../../schemas/attempt-id.ts';
import { Superseded } from './errors.ts';
import type { NotedRequest } from './journal/requests.ts';
import { type RunningAttempt, type RunOptions, runRequest } from './run-request.ts';
import { createWaiting } from './waiting.ts';

export interface WorkLoopOptions<Host> extends RunOptions<Host> {
  onRunning: (running: NotedRequest | undefined) => void;
  /** Whether open requests have to wait. Wake the loop when that changes. */
  isHeld?: () => boolean;
  /** Keeps the host's disks to their limits. @param after the attempt that has ended since the last time, if one has. */
  clean?: (after: AttemptId | undefined) => Promise<void>;
}

export interface WorkLoop {
  /** Runs the journal's open requests, oldest first, one at a time, until the signal fires. */
  run(): Promise<void>;
  /** There may be something new in the journal; `superseded` ends that attempt if it is running. */
  wake(superseded?: AttemptId): void;
  /** Something may no longer be needed: cleans the disks once no attempt is running. */
  tidy(): void;
  /**
   * Ends the running attempt without an outcome, and leaves its request open. @returns whether no attempt is running.
   */
  setAside(): boolean;
}

export const createWorkLoop = <Host>(options: WorkLoopOptions<Host>): WorkLoop => {
  const { journal, workplace, clock, signal, isHeld = () => false } = options;
  const waiting = createWaiting(clock, signal);
  let [running, isFirst]: [RunningAttempt | undefined, boolean] = [undefined, true];
  /** The disks are to be looked at, and after which attempt. */
  let untidy: { after: AttemptId | undefined } | undefined = { after: undefined };
  const end = (why: string) => running?.controller.abort(new Superseded(why));
  signal.addEventListener('abort', () => end('the agent stops'));

  /** Removes the folders of all attempts that have ended. */
  const removeFolders = async () => {
    try {
      await workplace.keepFolders(journal.requests.open());
    } catch (error) {
      options.onTrouble('the folders of ended attempts could not be removed', error);
    }
  };
  /** Not while the journal lacks something, or is contradicted: then it can't say what is needed. */
  const tidy = async () => {
    const { after } = untidy ?? {};
    untidy = undefined;
    await options.clean?.(after);
  };
  const run = async (request: NotedRequest) => {
    running = { request, controller: new AbortController(), isSetAside: false, isFirst };
    options.onRunning(request);
    try {
      await runRequest(options, running);
    } finally {
      [running, isFirst] = [undefined, false];
      options.onRunning(undefined);
    }
  };

  return {
    async run() {
      await removeFolders();
      while (!signal.aborted) {
        const request = isHeld() ? undefined : journal.requests.next();
        // One that a restart has cut runs, as it were, and goes on first.
        if (untidy && !isHeld() && (request?.begunAt ?? null) === null) {
          await tidy();
          continue;
        }
        if (request) {
          await run(request);
          // A folder is removed once the outcome is journalled: after a cut before that, the step may need it again.
          await removeFolders();
          untidy = { after: request };
        } else await waiting.wait();
      }
    },
    wake(superseded) {
      if (superseded && running && isSameAttempt(running.request, superseded))
        end(`${superseded.iteration} ${superseded.step} is superseded`);
      waiting.wake();
    },
    tidy() {
      untidy ??= { after: undefined };
      waiting.wake();
    },
    setAside() {
      if (running) {
        running.isSetAside = true;
        end(`${running.request.step} is set aside`);
      }
      return running === undefined;
    },
  };
};
