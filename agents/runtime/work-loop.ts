import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ZodError } from 'zod';
import { parseEvent, stepEventType } from '../../schemas/events.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { type Failure, steps } from '../../schemas/steps.ts';
import { createEffect } from './effects.ts';
import { NeedsPerson, StepFailed, Superseded } from './errors.ts';
import type { Journal, NotedRequest } from './journal.ts';
import type { Outbox } from './outbox.ts';
import { createRun } from './run.ts';
import type { Step } from './step.ts';

/** The steps of one role, by name. */
// biome-ignore lint/suspicious/noExplicitAny: each step has a request of its own; the schema checks it at the edge
export type StepTable<Host> = { readonly [Name in StepName]?: Step<any, Host> };

export interface WorkLoopOptions<Host> {
  journal: Journal;
  outbox: Outbox;
  steps: StepTable<Host>;
  host: Host;
  stateFolder: string;
  /** A line of a step's output. */
  outputOf: (request: NotedRequest) => (line: string) => void;
  onRunning: (running: NotedRequest | undefined) => void;
  /** For the host's own log. */
  onTrouble: (what: string, error: unknown) => void;
  signal: AbortSignal;
}

/** How often a step is begun before its trouble is taken for a failure, and the pause before each new try. */
const tries = 6;
const pauseMs = (tried: number) => Math.min(500 * 2 ** tried, 30_000);

/** How many of the last lines of output a failure carries. */
const linesOfFailure = 30;

export interface WorkLoop {
  /** Runs the journal's open requests, oldest first, one at a time, until the signal fires. */
  run(): Promise<void>;
  /** There may be something new in the journal; `superseded` ends that attempt if it is running. */
  wake(superseded?: { iteration: string; step: StepName; attempt: number }): void;
}

export const createWorkLoop = <Host>(options: WorkLoopOptions<Host>): WorkLoop => {
  const { journal, outbox, signal } = options;
  let running: { request: NotedRequest; controller: AbortController } | undefined;
  let wake: () => void = () => undefined;
  const sleep = (ms?: number) =>
    new Promise<void>((resolve) => {
      if (signal.aborted) return resolve();
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  signal.addEventListener('abort', () => {
    running?.controller.abort(new Superseded('the agent stops'));
    wake();
  });

  const attemptOnce = async (
    request: NotedRequest,
    controller: AbortController,
    output: (line: string) => void,
  ) => {
    const { iteration, step, attempt } = request;
    const handler = options.steps[step];
    if (!handler) throw new StepFailed('host', `this host has no step ${step}`);
    const event = parseEvent(request.bytes);
    if (event.kind !== 'step' || event.fact !== 'Requested')
      throw new StepFailed('host', `the journal holds ${event.type} where a request should stand`);
    const key = `${iteration}.${attempt}`;
    const workFolder = join(options.stateFolder, 'work', `${step}.${key}`);
    mkdirSync(workFolder, { recursive: true });
    const started = request.begunAt ?? Date.now(); // a step that a reboot cut has been at work since before
    const seen = await handler(event.data.request, {
      iteration,
      step,
      attempt,
      key,
      effect: createEffect(journal, request, controller.signal),
      host: options.host,
      run: createRun(output, controller.signal),
      note: output,
      workFolder,
      bootsAfter: (bootId) => journal.bootsAfter(bootId),
      signal: controller.signal,
    });
    const evidence = steps[step].evidence.parse(seen);
    rmSync(workFolder, { recursive: true, force: true });
    return { evidence, seconds: Math.max(0, Date.now() - started) / 1000 };
  };

  /** Runs one request to its outcome, or until it is to be tried again later. */
  const runRequest = async (request: NotedRequest) => {
    const { iteration, step, attempt, eventId } = request;
    const controller = new AbortController();
    running = { request, controller };
    options.onRunning(request);
    const tail: string[] = [];
    const toStream = options.outputOf(request);
    const output = (line: string) => {
      tail.push(line);
      if (tail.length > linesOfFailure) tail.shift();
      toStream(line);
    };
    const outcome = (fact: 'Succeeded' | 'Failed', data: unknown) =>
      outbox.put(
        { type: stepEventType(step, fact), iteration, attempt, causationid: eventId, data },
        { iteration, step, attempt },
      );
    const failed = (failure: Omit<Failure, 'output' | 'begun'>) =>
      outcome('Failed', { ...failure, output: [...tail], begun: journal.begun(request) });
    journal.noteTry(request, Date.now());
    try {
      outcome('Succeeded', await attemptOnce(request, controller, output));
    } catch (error) {
      if (signal.aborted) return; // the journal holds the request and what was done of it
      if (error instanceof Superseded || journal.isSuperseded(iteration, step, attempt)) {
        output(`superseded: ${iteration} ${step} ${attempt} ends here`);
        return;
      }
      const reason = error instanceof Error ? error.message : String(error);
      if (error instanceof StepFailed) {
        output(reason);
        failed({ fault: error.fault, reason, ...(error.seen === undefined ? {} : { seen: error.seen }) });
      } else if (error instanceof NeedsPerson) failed({ fault: 'host', reason });
      else if (error instanceof ZodError)
        failed({ fault: 'host', reason: `the evidence of ${step} is not in its shape: ${reason}` });
      else if (request.tries + 1 >= tries)
        failed({ fault: 'host', reason: `${reason} (given up after ${tries} tries)` });
      else {
        options.onTrouble(`${iteration} ${step} ${attempt}, try ${request.tries + 1} of ${tries}`, error);
        output(`${reason}; trying again`);
        await sleep(pauseMs(request.tries));
      }
    } finally {
      running = undefined;
      options.onRunning(undefined);
    }
  };

  return {
    async run() {
      while (!signal.aborted) {
        const request = journal.nextRequest();
        if (request) await runRequest(request);
        else await sleep();
      }
    },
    wake(superseded) {
      if (
        superseded &&
        running &&
        running.request.iteration === superseded.iteration &&
        running.request.step === superseded.step &&
        running.request.attempt === superseded.attempt
      )
        running.controller.abort(new Superseded(`${superseded.iteration} ${superseded.step} is superseded`));
      wake();
    },
  };
};
