import { mkdirSync } from 'node:fs';
import { readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { EventTooLarge } from '../../eventlog/signing/seal.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { createRun } from '../../host/run.ts';
import { type AttemptId, formatAttempt, isSameAttempt } from '../../schemas/attempt-id.ts';
import type { EffectName } from '../../schemas/effects.ts';
import { parseEvent, stepEventType } from '../../schemas/events.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { type Failure, steps } from '../../schemas/steps.ts';
import { createEffect, type WatchEffects } from './effects.ts';
import { asStepFailed, NeedsPerson, StepFailed, Superseded } from './errors.ts';
import type { Journal } from './journal/journal.ts';
import { isNoRoom, NoRoom } from './journal/no-room.ts';
import type { NotedRequest } from './journal/requests.ts';
import type { Outbox } from './outbox.ts';
import type { Step, StepContext } from './step.ts';

/** The steps of one role, by name. */
// biome-ignore lint/suspicious/noExplicitAny: each step has a request of its own; the schema checks it at the edge
export type StepTable<Host> = { readonly [Name in StepName]?: Step<any, Host> };

export interface WorkLoopOptions<Host> {
  journal: Journal;
  outbox: Outbox;
  steps: StepTable<Host>;
  host: Host;
  /** Signs what the steps attest. */
  attest: StepContext<Host>['attest'];
  trust: Trust;
  stateFolder: string;
  /** A line of a step's output. */
  outputOf: (request: NotedRequest) => (line: string) => void;
  onRunning: (running: NotedRequest | undefined) => void;
  /** For the host's own log. */
  onTrouble: (what: string, error: unknown) => void;
  /** Whether what is open has to wait. Wake the loop when that changes. */
  isHeld?: () => boolean;
  /** Told why the journal could not be written, and null when that is over. */
  onNoRoom?: (error: unknown) => void;
  /** A place where a test may end this process. */
  failpoint?: (name: string) => void;
  signal: AbortSignal;
}

/** How often a step is begun before its trouble is taken for a failure, and the pause before each new try. */
const tries = 6;
/** How often it is begun at most without getting further, where it never comes to throw: it may end its own agent, or host. */
const begins = 20;
const pauseMs = (tried: number) => Math.min(500 * 2 ** tried, 30_000);

/** The room that a step is begun again with after there was none for the journal. */
const roomBytes = 1024 * 1024;
const roomEveryMs = 1_000;

/** How many of the last lines of output a failure carries, and how much of each, and of its reason: it has to fit. */
const linesOfFailure = 30;
const charactersOfLine = 1_000;
const charactersOfReason = 8_000;

/** An attempt's own folder, below `work`. */
const folderOf = ({ iteration, step, attempt }: AttemptId): string => `${step}.${iteration}.${attempt}`;

export interface WorkLoop {
  /** Runs the journal's open requests, oldest first, one at a time, until the signal fires. */
  run(): Promise<void>;
  /** There may be something new in the journal; `superseded` ends that attempt if it is running. */
  wake(superseded?: AttemptId): void;
  /** Ends the attempt that runs, and leaves its request open, without an outcome. Says whether none runs any more. */
  setAside(): boolean;
}

/** @throws {StepFailed} if this version can't read what an earlier one has noted. */
const readRequest = (bytes: Uint8Array) => {
  try {
    const event = parseEvent(bytes);
    if (event.kind === 'step' && event.fact === 'Requested') return event;
    throw new Error(`it is ${event.type}`);
  } catch (cause) {
    throw new StepFailed('host', `the journal's request can't be read: ${reasonOf(cause)}`, { cause });
  }
};

const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, charactersOfReason);

/** @throws {NoRoom} if the disk is full. */
const makeFolder = (folder: string): void => {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    throw new NoRoom(`${folder} can't be made: ${reasonOf(error)}`, { cause: error });
  }
};

/** Waits until a disk has some room, or half a minute: not every fault of a disk shows in its room. Gives whether it has. */
const roomIn = async (folder: string, signal: AbortSignal): Promise<boolean> => {
  for (let waitedMs = 0; waitedMs < 30_000; waitedMs += roomEveryMs) {
    await sleep(roomEveryMs, undefined, { signal }).catch(() => undefined);
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize >= roomBytes) return true;
    if (signal.aborted) break;
  }
  return false;
};

export const createWorkLoop = <Host>(options: WorkLoopOptions<Host>): WorkLoop => {
  const { journal, outbox, signal, isHeld = () => false, failpoint = () => undefined } = options;
  const work = join(options.stateFolder, 'work');
  let running: { request: NotedRequest; controller: AbortController; isSetAside: boolean } | undefined;
  let wake: () => void = () => undefined;
  const news = () =>
    new Promise<void>((resolve) => {
      if (signal.aborted) return resolve();
      wake = resolve;
    });

  /** Removes the folders of all attempts that have ended. */
  const tidy = async () => {
    try {
      const open = new Set(journal.requests.open().map(folderOf));
      for (const name of await readdir(work).catch(() => []))
        if (!open.has(name)) await rm(join(work, name), { recursive: true, force: true });
    } catch (error) {
      options.onTrouble(`${work} could not be tidied`, error);
    }
  };
  signal.addEventListener('abort', () => {
    running?.controller.abort(new Superseded('the agent stops'));
    wake();
  });

  const noteNoTry = (request: NotedRequest) => {
    try {
      journal.requests.forgetTry(request);
    } catch (error) {
      if (!isNoRoom(error)) throw error; // it counts, then
    }
  };

  const attemptOnce = async (
    request: NotedRequest,
    controller: AbortController,
    output: (line: string) => void,
  ) => {
    const { iteration, step, attempt } = request;
    const handler = options.steps[step];
    if (!handler) throw new StepFailed('host', `this host has no step ${step}`);
    const event = readRequest(request.bytes);
    const key = `${iteration}.${attempt}`;
    const workFolder = join(work, folderOf(request));
    makeFolder(workFolder);
    const started = request.begunAt ?? Date.now(); // a step that a reboot cut has been at work since before
    let acting: EffectName | undefined;
    const watch: WatchEffects = (effect, phase) => {
      acting = phase === 'acting' ? effect : undefined;
      if (phase === 'intent' || phase === 'acted' || phase === 'result')
        failpoint(`${step} ${effect} ${phase}`);
    };
    const onStarted = () => {
      if (acting !== undefined) failpoint(`${step} ${acting} running`);
    };
    const seen = await handler(event.data.request, {
      iteration,
      step,
      attempt,
      key,
      effect: createEffect(journal, request, controller.signal, watch),
      host: options.host,
      run: createRun(output, controller.signal, onStarted),
      attest: options.attest,
      trust: options.trust,
      note: output,
      workFolder,
      bootsAfter: (bootId) => journal.boots.after(bootId),
      signal: controller.signal,
    });
    const evidence = steps[step].evidence.safeParse(seen);
    if (!evidence.success)
      throw new StepFailed(
        'host',
        `the evidence of ${step} is not in its shape: ${z.prettifyError(evidence.error)}`,
        { seen, cause: evidence.error },
      );
    return { evidence: evidence.data, seconds: Math.max(0, Date.now() - started) / 1000 };
  };

  /** Runs one request to its outcome, or until it is to be tried again later. */
  const runRequest = async (request: NotedRequest) => {
    const { iteration, step, attempt, eventId } = request;
    const controller = new AbortController();
    const now = { request, controller, isSetAside: false };
    running = now;
    options.onRunning(request);
    const tail: string[] = [];
    const toStream = options.outputOf(request);
    const output = (line: string) => {
      tail.push(line.slice(0, charactersOfLine));
      if (tail.length > linesOfFailure) tail.shift();
      toStream(line);
    };
    const outcome = (fact: 'Succeeded' | 'Failed', data: unknown) =>
      outbox.put(
        { type: stepEventType(step, fact), iteration, attempt, causationid: eventId, data },
        { iteration, step, attempt },
      );
    const failed = (failure: Omit<Failure, 'output' | 'begun'>) => {
      const told = { ...failure, output: [...tail], begun: journal.effects.begun(request) };
      try {
        outcome('Failed', told);
      } catch (error) {
        if (!(error instanceof EventTooLarge)) throw error;
        const { seen: _seen, ...rest } = told;
        outcome('Failed', rest);
      }
    };
    const decide = async (thrown: unknown) => {
      const error = asStepFailed(thrown);
      if (now.isSetAside) {
        output(`set aside: ${formatAttempt(request)} ends here for now`);
        return;
      }
      if (error instanceof Superseded || journal.requests.isSuperseded(request)) {
        output(`superseded: ${formatAttempt(request)} ends here`);
        return;
      }
      const reason = reasonOf(error);
      const tried = journal.requests.tries(request);
      if (error instanceof StepFailed) {
        output(reason);
        const { fault, seen, attestation } = error;
        failed({
          fault,
          reason,
          ...(seen === undefined ? {} : { seen }),
          ...(attestation && { attestation }),
        });
      } else if (error instanceof NeedsPerson || error instanceof EventTooLarge)
        failed({ fault: 'host', reason });
      else if (tried >= tries) failed({ fault: 'host', reason: `${reason} (given up after ${tries} tries)` });
      else {
        options.onTrouble(`${formatAttempt(request)}, try ${tried} of ${tries}`, error);
        output(`${reason}; trying again`);
        // Only a stop or a supersession ends the pause early, not some other request.
        await sleep(pauseMs(tried - 1), undefined, { signal: controller.signal }).catch(() => undefined);
      }
    };
    let isCounted = false;
    try {
      journal.requests.noteTry(request, Date.now());
      isCounted = true;
      const begun = journal.requests.tries(request);
      if (begun > begins)
        throw new StepFailed(
          'host',
          `begun ${begun - 1} times and never came to an end: it may end its own agent, or this host; look at the host's log`,
        );
      const seen = await attemptOnce(request, controller, output);
      if (now.isSetAside) throw new Superseded(`${step} is set aside`);
      outcome('Succeeded', seen);
      options.onNoRoom?.(null);
    } catch (error) {
      if (signal.aborted) return; // the journal holds the request and what was done of it
      try {
        if (isNoRoom(error)) throw error;
        await decide(error);
      } catch (again) {
        // Not even a failure can be journalled. What was done shows in its probe, once there is room.
        if (!isNoRoom(again)) throw again;
        options.onNoRoom?.(again);
        if (isCounted) noteNoTry(request);
        output('there is no room for the journal; going on once there is');
        if (await roomIn(options.stateFolder, controller.signal)) options.onNoRoom?.(null);
      }
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
          await runRequest(request);
          // A folder goes once the outcome is journalled: cut before that, the step may need it again.
          await tidy();
        } else await news();
      }
    },
    wake(superseded) {
      if (superseded && running && isSameAttempt(running.request, superseded))
        running.controller.abort(new Superseded(`${superseded.iteration} ${superseded.step} is superseded`));
      wake();
    },
    setAside() {
      if (running) {
        running.isSetAside = true;
        running.controller.abort(new Superseded(`${running.request.step} is set aside`));
      }
      return running === undefined;
    },
  };
};
