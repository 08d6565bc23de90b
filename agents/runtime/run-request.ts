import type { OutputWriter } from '../../eventlog/live/output.ts';
import { EventTooLarge } from '../../eventlog/signing/seal.ts';
import { formatAttempt } from '../../schemas/attempt-id.ts';
import { type StepSucceededData, stepEvent } from '../../schemas/events.ts';
import type { StepName } from '../../schemas/step-names.ts';
import type { Failure } from '../../schemas/steps.ts';
import { asStepFailed, NeedsPerson, StepFailed, Superseded } from './errors.ts';
import { isNoRoom } from './journal/no-room.ts';
import type { NotedRequest } from './journal/requests.ts';
import type { Outbox } from './outbox.ts';
import { reasonOf } from './reason.ts';
import { runStep, type StepOptions } from './run-step.ts';

export interface RunOptions<Host> extends StepOptions<Host> {
  outbox: Pick<Outbox, 'put'>;
  /** Takes the lines of a step's output. */
  outputOf: (request: NotedRequest) => OutputWriter;
  /** For the host's own log. */
  onTrouble: (what: string, error: unknown) => void;
  /** Called with the reason why the journal could not be written, and with null when that is over. */
  onNoRoom?: (error: unknown) => void;
  signal: AbortSignal;
}

/** The attempt that is running. */
export interface RunningAttempt {
  readonly request: NotedRequest;
  readonly controller: AbortController;
  /** Whether it is to end without an outcome, and to begin again later. */
  isSetAside: boolean;
  /** Whether it is the first that this process runs: the one before may have died of it, with its whole host. */
  readonly isFirst: boolean;
}

/** How often a step is begun before its error counts as a failure, and the pause before each new try. */
const tries = 6;
/** How often a step may be begun without progress and without throwing: it may kill its own agent or host. */
const begins = 20;
const pauseMs = (tried: number) => Math.min(500 * 2 ** tried, 30_000);

const roomEveryMs = 1_000;
const roomWithinMs = 30_000;

/** How many of the last lines of output a failure carries, and how much of each: it has to fit into an event. */
const linesOfFailure = 30;
const charactersOfLine = 1_000;

/** Passes a step's output to its stream, and keeps the last lines for a failure. */
const createOutput = (toStream: OutputWriter['write']) => {
  const tail: string[] = [];
  const output = (line: string) => {
    tail.push(line.slice(0, charactersOfLine));
    if (tail.length > linesOfFailure) tail.shift();
    toStream(line);
  };
  return { output, tail };
};

/** Puts an attempt's outcome into the outbox, which ends its request. */
const createOutcomes = <Host>(
  { journal, outbox }: RunOptions<Host>,
  { iteration, step, attempt, eventId }: NotedRequest,
  tail: readonly string[],
) => {
  const of = { iteration, step, attempt };
  const head = { iteration, attempt, causationid: eventId };
  const putFailed = (failure: Failure) => outbox.put(stepEvent(step, 'Failed', head, failure), of);
  return {
    succeeded: (seen: StepSucceededData<StepName>) =>
      outbox.put(stepEvent(step, 'Succeeded', head, seen), of),
    failed(failure: Omit<Failure, 'output' | 'begun'>) {
      const told = { ...failure, output: [...tail], begun: journal.effects.begun(of) };
      try {
        putFailed(told);
      } catch (error) {
        if (!(error instanceof EventTooLarge)) throw error;
        const { seen: _seen, ...rest } = told;
        putFailed(rest);
      }
    },
  };
};

/**
 * Waits until the disk has some room, for at most half a minute, since not every fault of a disk is a lack of room.
 * @returns whether there is room.
 */
const roomAgain = async <Host>(
  { clock, workplace }: RunOptions<Host>,
  signal: AbortSignal,
): Promise<boolean> => {
  for (let waitedMs = 0; waitedMs < roomWithinMs; waitedMs += roomEveryMs) {
    await clock.pause(roomEveryMs, signal);
    if (await workplace.hasRoom()) return true;
    if (signal.aborted) break;
  }
  return false;
};

const failureOf = ({ fault, code, seen, attestation }: StepFailed, reason: string) => ({
  fault,
  ...(code === undefined ? {} : { code }),
  reason,
  ...(seen === undefined ? {} : { seen }),
  ...(attestation && { attestation }),
});

/** Decides about an attempt whose step threw: it fails, ends without an outcome, or is begun again after a pause. */
const decide = async <Host>(
  options: RunOptions<Host>,
  { request, controller, isSetAside }: RunningAttempt,
  outcomes: ReturnType<typeof createOutcomes>,
  output: (line: string) => void,
  thrown: unknown,
): Promise<void> => {
  const { journal, clock } = options;
  const error = asStepFailed(thrown);
  const attempt = formatAttempt(request);
  if (isSetAside) return output(`set aside: ${attempt} ends here for now`);
  if (error instanceof Superseded || journal.requests.isSuperseded(request))
    return output(`superseded: ${attempt} ends here`);
  const reason = reasonOf(error);
  const tried = journal.requests.tries(request);
  if (error instanceof StepFailed) {
    output(reason);
    outcomes.failed(failureOf(error, reason));
  } else if (error instanceof NeedsPerson || error instanceof EventTooLarge)
    outcomes.failed({ fault: 'host', reason });
  else if (tried >= tries)
    outcomes.failed({ fault: 'host', reason: `${reason} (given up after ${tries} tries)` });
  else {
    options.onTrouble(`${attempt}, try ${tried} of ${tries}`, error);
    output(`${reason}; trying again`);
    // Only a stop or a supersession ends the pause early, not some other request.
    await clock.pause(pauseMs(tried - 1), controller.signal);
  }
};

/** Waits, since not even a failure could be journalled. The probes show later what was done. */
const waitForRoom = async <Host>(
  options: RunOptions<Host>,
  { request, controller }: RunningAttempt,
  isCounted: boolean,
  output: (line: string) => void,
  error: unknown,
): Promise<void> => {
  options.onNoRoom?.(error);
  try {
    if (isCounted) options.journal.requests.forgetTry(request);
  } catch (again) {
    if (!isNoRoom(again)) throw again; // then the try counts
  }
  output('there is no room for the journal; going on once there is');
  if (await roomAgain(options, controller.signal)) options.onNoRoom?.(null);
};

/** Runs one request to its outcome, or until it is to be tried again later. */
export const runRequest = async <Host>(options: RunOptions<Host>, running: RunningAttempt): Promise<void> => {
  const { journal, clock } = options;
  const { request, controller } = running;
  const shown = options.outputOf(request);
  const { output, tail } = createOutput(shown.write);
  const outcomes = createOutcomes(options, request, tail);
  let isCounted = false;
  try {
    journal.requests.noteTry(request, clock.now(), running.isFirst);
    isCounted = true;
    const begun = journal.requests.tries(request);
    if (begun > begins)
      throw new StepFailed(
        'host',
        `begun ${begun - 1} times and never ended: it may kill its own agent, or this host; look at the host's log`,
      );
    const seen = await runStep(options, request, controller.signal, output);
    if (running.isSetAside) throw new Superseded(`${request.step} is set aside`);
    outcomes.succeeded(seen);
    options.onNoRoom?.(null);
  } catch (error) {
    if (options.signal.aborted) return; // the journal holds the request and what was done of it
    try {
      if (isNoRoom(error)) throw error;
      await decide(options, running, outcomes, output, error);
    } catch (again) {
      if (!isNoRoom(again)) throw again;
      await waitForRoom(options, running, isCounted, output, again);
    }
  } finally {
    shown.end();
  }
};
