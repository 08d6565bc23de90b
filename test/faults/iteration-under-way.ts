import { setTimeout as sleep } from 'node:timers/promises';
import { endedWords } from '../../coordinator/reading/english/reasons.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { type StepSucceededData, stepEventType } from '../../schemas/events.ts';
import type { StepName } from '../../schemas/step-names.ts';
import type { StepEvidence } from '../../schemas/steps.ts';
import { patienceMs } from '../patience.ts';
import type { TestFleet } from '../test-fleet.ts';

const wordOf = (event: LoggedEvent['event']): string =>
  event.kind === 'step' && event.fact === 'Failed' ? `${event.type} (${event.data.reason})` : event.type;

/**
 * An iteration that runs while a test makes faults.
 * @param planFile its plan.
 * @param iteration its name in the plan.
 */
export const iterationUnderWay = (fleet: TestFleet, planFile: string, iteration: string) => {
  /** The coordinator may answer after the command has ended: on a busy machine, or because the test has stopped it. */
  const ka = async (...args: string[]) => {
    const { exitCode, stderr } = await fleet.ka(...args);
    if (exitCode !== 0 && !stderr.includes('no coordinator has answered'))
      throw new Error(`ka ${args.join(' ')} ended with ${exitCode}: ${stderr}`);
  };
  /** The nth event of a type, once the log holds it. @throws {Error} after `timeoutMs`, or once the iteration is over. */
  const event = async (type: string, nth = 1, timeoutMs = patienceMs): Promise<LoggedEvent['event']> => {
    const until = Date.now() + timeoutMs;
    for (;;) {
      // A read may meet a server that is down.
      let cause: unknown;
      const events = await fleet.events(iteration).catch((error: unknown) => {
        cause = error;
        return [];
      });
      const found = events.filter(({ event }) => event.type === type)[nth - 1];
      if (found) return found.event;
      const last = events.at(-1)?.event;
      const isOver = last !== undefined && /^Iteration(Failed|Aborted|Closed)$/.test(last.type);
      if (Date.now() > until || (isOver && type !== 'IterationFailed')) {
        const had = events.map(({ event }) => wordOf(event)).join(', ');
        throw new Error(
          `${iteration} has no ${type} ${nth} in ${timeoutMs / 1000} s, or is over; it has ${had}`,
          { cause },
        );
      }
      await sleep(100);
    }
  };
  return {
    event,
    /** The evidence of the nth successful attempt of a step. */
    evidence: async <Name extends StepName>(
      step: Name,
      nth = 1,
      timeoutMs?: number,
    ): Promise<StepEvidence<Name>> => {
      const { data } = await event(stepEventType(step, 'Succeeded'), nth, timeoutMs);
      return (data as StepSucceededData<Name>).evidence;
    },
    start: () => ka('iterate', planFile),
    /** Approves the review, once it is asked for. */
    approve: async (nth = 1) => {
      await event('ReviewRequested', nth);
      await fleet.approve(iteration);
    },
    retry: () => ka('retry', iteration),
    abort: () => ka('abort', iteration, '-m', 'seen enough'),
    /** Why the iteration has failed, for the nth time. */
    failure: async (nth = 1): Promise<string> => {
      const failed = await event('IterationFailed', nth);
      return failed.kind === 'iteration' && failed.type === 'IterationFailed' ? endedWords(failed.data) : '';
    },
  };
};
