import { type AttemptId, formatAttemptOn } from '../../schemas/attempt-id.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import { durationSeconds } from '../../schemas/plan.ts';
import type { GivenUpReason } from '../../schemas/reasons.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { steps } from '../../schemas/steps.ts';
import type { Command } from '../decider/decide.ts';
import { boardTouched } from '../decider/doom.ts';
import { lastingApprovals } from '../decider/graph.ts';
import { type Attempt, type Iteration, lostBoard, openAttemptsOf, type State } from '../decider/state.ts';
import { fallbackOf } from '../decider/step-hosts.ts';

/** How long a step may stay open if the plan sets no limit. Generous, so that no working host is stopped. */
const defaultLimitSeconds: Record<StepName, number> = {
  preflight: 3600,
  keycheck: 1800,
  land: 1800,
  build: 6 * 3600,
  publish: 3600,
  presweep: 2 * 3600,
  backup: 3600,
  stage: 2 * 3600,
  install: 3600,
  reboot: 1800,
  sweep: 2 * 3600,
  confirm: 1800,
  rollback: 2 * 3600,
  record: 1800,
};

/**
 * What this coordinator has measured with its own stopwatch, in milliseconds of a clock that only runs forward. Wall
 * clocks are never compared: one that is wrong by years changes no decision. A coordinator that is started again counts
 * from zero.
 */
export interface Stopwatch {
  now: number;
  fleet: Fleet;
  /** When a host was last heard; the coordinator's own start if it has not been heard yet. */
  lastSeen: (host: string) => number;
  /** When an attempt was first seen open, by {@link formatAttemptOn}. */
  openSince: (key: string) => number;
  /** Whether a host, heard since the attempt was seen open, reports neither the attempt nor an unsent outcome. */
  isUnknownTo?: (host: string, attempt: AttemptId) => boolean;
}

interface OpenAttempt {
  iteration: Iteration;
  step: StepName;
  attempt: Attempt;
  id: AttemptId;
}

/** The iterations that are under way. */
export const iterationsUnderWay = ({ underWay, iterations }: State): Iteration[] =>
  [...underWay.values()].flatMap((name) => iterations.get(name) ?? []);

/** The attempts that are open now, in the iterations that are under way. */
export const openAttempts = (state: State): OpenAttempt[] =>
  iterationsUnderWay(state).flatMap((iteration) =>
    openAttemptsOf(iteration).map(({ step, attempt }) => ({
      iteration,
      step,
      attempt,
      id: { iteration: iteration.name, step, attempt: attempt.number },
    })),
  );

/** The key of an attempt's time. It changes when a board is lost or comes back, so that the time begins again. */
const timeKey = (state: State, { iteration, attempt, id }: OpenAttempt): string =>
  `${formatAttemptOn(id, attempt.host)} ${iteration.losses}${lostBoard(iteration, state) ? ' lost' : ''}`;

/** Remembers when each attempt was first seen open. Those that are over are forgotten. */
export const createOpenSince = () => {
  let known = new Map<string, number>();
  return (state: State, now: number): Stopwatch['openSince'] => {
    const keys = openAttempts(state).flatMap((open) => [
      formatAttemptOn(open.id, open.attempt.host),
      timeKey(state, open),
    ]);
    known = new Map(keys.map((key) => [key, known.get(key) ?? now]));
    return (key) => known.get(key) ?? now;
  };
};

const limitSeconds = ({ plan }: Iteration, step: StepName): number => {
  const planned = plan.limits[step];
  return planned === undefined ? defaultLimitSeconds[step] : durationSeconds(planned);
};

/**
 * The commands that time makes necessary: for attempts that have been open too long, or whose host has been silent past
 * its grace while another could take over; for a changed board that does not come back; and for requests from before
 * the log was restored that never arrived. Time is read here and nowhere in the decider.
 */
export const overdue = (
  state: State,
  { now, fleet, lastSeen, openSince, isUnknownTo = () => false }: Stopwatch,
): Command[] =>
  openAttempts(state).flatMap((open): Command[] => {
    const { iteration, step, attempt, id } = open;
    const { host, epoch } = attempt;
    const timeOut = (reason: GivenUpReason): Command[] => [{ do: 'TimeOut', ...id, reason }];
    if (epoch < state.epoch && isUnknownTo(host, id))
      return [{ do: 'AskAgain', ...id, reason: { code: 'never-arrived', host, epoch } }];
    // The coordinator waits for a lost board until the board writes to the log: its first presence comes before that.
    if (lostBoard(iteration, state)?.host === host) return [];
    const since = openSince(timeKey(state, open));
    const grace = fleet.hosts[host]?.graceSeconds ?? 300;
    const silent = Math.floor((now - Math.max(lastSeen(host), since)) / 1000);
    const limit = limitSeconds(iteration, step);
    if (now - since > limit * 1000) {
      // Another request would not bring the board back, and giving the step up would leave the board changed.
      if (steps[step].role === 'board' && silent > grace && boardTouched(iteration))
        return [
          {
            do: 'Lose',
            ...id,
            reason: { code: 'overdue-and-silent', step, limitSeconds: limit, silentSeconds: silent },
          },
        ];
      return timeOut({ code: 'step-overdue', host, step, limitSeconds: limit });
    }
    if (silent > grace && fallbackOf(iteration, step, attempt))
      return timeOut({ code: 'host-silent', host, silentSeconds: silent, graceSeconds: grace });
    return [];
  });

/** The approvals that have expired. @param serverNow the time of the log's server, in milliseconds since 1970. */
export const expired = (state: State, serverNow: number): Command[] =>
  iterationsUnderWay(state).flatMap((iteration) =>
    lastingApprovals(iteration)
      .filter(({ expires }) => Date.parse(expires ?? '') <= serverNow)
      .map(({ sequence }) => ({ do: 'Expire', iteration: iteration.name, approval: sequence }) as const),
  );
