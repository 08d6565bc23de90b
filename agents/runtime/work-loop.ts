import { type AttemptId, isSameAttempt } from '../../schemas/attempt-id.ts';
import { Superseded } from './errors.ts';
import type { NotedRequest } from './journal/requests.ts';
import { type RunningAttempt, type RunOptions, runRequest } from './run-request.ts';
import { createWaiting } from './waiting.ts';

export interface WorkLoopOptions<Host> extends RunOptions<Host> {
  onRunning: (running: NotedRequest | undefined) => void;
  /** Whether open requests have to wait. Wake the loop when that changes. */
  isHeld?: () => boolean;
}

export interface WorkLoop {
  /** Runs the journal's open requests, oldest first, one at a time, until the signal fires. */
  run(): Promise<void>;
  /** There may be something new in the journal; `superseded` ends that attempt if it is running. */
  wake(superseded?: AttemptId): void;
  /**
   * Ends the running attempt without an outcome, and leaves its request open. @returns whether no attempt is running.
   */
  setAside(): boolean;
}

export const createWorkLoop = <Host>(options: WorkLoopOptions<Host>): WorkLoop => {
  const { journal, workplace, clock, signal, isHeld = () => false } = options;
  const waiting = createWaiting(clock, signal);
  let running: RunningAttempt | undefined;
  const end = (why: string) => running?.controller.abort(new Superseded(why));
  signal.addEventListener('abort', () => end('the agent stops'));

  /** Removes the folders of all attempts that have ended. */
  const tidy = async () => {
    try {
      await workplace.keepFolders(journal.requests.open());
    } catch (error) {
      options.onTrouble('the folders of ended attempts could not be removed', error);
    }
  };
  const run = async (request: NotedRequest) => {
    running = { request, controller: new AbortController(), isSetAside: false };
    options.onRunning(request);
    try {
      await runRequest(options, running);
    } finally {
      running = undefined;
      options.onRunning(undefined);
    }
  };

  return {
    async run() {
      await tidy();
      while (!signal.aborted) {
        const request = isHeld() ? undefined : journal.requests.next();
        if (request) {
          await run(request);
          // A folder is removed once the outcome is journalled: after a cut before that, the step may need it again.
          await tidy();
        } else await waiting.wait();
      }
    },
    wake(superseded) {
      if (superseded && running && isSameAttempt(running.request, superseded))
        end(`${superseded.iteration} ${superseded.step} is superseded`);
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
