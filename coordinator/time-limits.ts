import type { Fleet } from '../schemas/fleet.ts';
import { durationSeconds } from '../schemas/plan.ts';
import { type StepName, stepNames } from '../schemas/step-names.ts';
import type { Command } from './decide.ts';
import type { Attempt, State } from './state.ts';
import { fallbackOf } from './step-hosts.ts';

/** How long a step may stay open where the plan does not say: generous, for a host that works is not to be stopped. */
const defaultLimitSeconds: Record<StepName, number> = {
  preflight: 3600,
  land: 1800,
  build: 6 * 3600,
  publish: 3600,
  presweep: 2 * 3600,
  backup: 3600,
  stage: 2 * 3600,
  install: 3600,
  reboot: 1800,
  sweep: 2 * 3600,
  rollback: 2 * 3600,
  record: 1800,
};

export interface Clock {
  /** Milliseconds since 1970, as everywhere here. */
  now: number;
  fleet: Fleet;
  /** When a host was last heard of. */
  lastSeen: (host: string) => number;
}

/**
 * The attempts that have been open for too long, or whose host has been silent past its grace while another could
 * take over, as commands. The clock is read here and nowhere in the decider.
 */
export const overdue = (state: State, { now, fleet, lastSeen }: Clock): Command[] =>
  [...state.iterations.values()]
    .filter((iteration) => !iteration.ended)
    .flatMap((iteration) =>
      stepNames.flatMap((step) =>
        (iteration.attempts[step] as Attempt[]).flatMap((attempt): Command[] => {
          if (attempt.status !== 'open') return [];
          const timeOut = (because: string): Command[] => [
            { do: 'TimeOut', iteration: iteration.name, step, attempt: attempt.number, because },
          ];
          const asked = Date.parse(attempt.requested.time);
          const planned = iteration.plan.limits[step];
          const limit = planned === undefined ? defaultLimitSeconds[step] : durationSeconds(planned);
          if (now - asked > limit * 1000)
            return timeOut(`${step} on ${attempt.host} was still open after its limit of ${limit} s`);
          const grace = fleet.hosts[attempt.host]?.graceSeconds ?? 300;
          const silent = Math.floor((now - Math.max(lastSeen(attempt.host), asked)) / 1000);
          if (silent > grace && fallbackOf(iteration, step, attempt))
            return timeOut(`${attempt.host} has been silent for ${silent} s, its grace is ${grace} s`);
          return [];
        }),
      ),
    );
