import type { z } from 'zod';
import type { Deadline, DeadlineReport } from '../../agents/board/deadline/deadline.ts';
import type { SeenBoot } from '../../agents/board/deadline/seen-boot.ts';
import { type AttemptId, formatAttempt } from '../../schemas/attempt-id.ts';
import type { Simulation } from './simulation.ts';

/** How an attempt goes if nothing kills it. It is chosen when the attempt first begins, and does not change. */
export interface Fate {
  ends: 'good' | 'bad' | 'work' | 'host';
  /** The effect before which it fails; 0 is before all of them. */
  at: number;
  /** How often it throws an error that is worth another try. */
  hiccups: number;
}

/** The real state of one host, independent of what any process knows. Effects are counted here, not in a journal. */
export interface World {
  bootId: string;
  /** On the board's disk: the armed deadline, the one that has gone off, and its report. */
  deadline: Deadline | undefined;
  fired: Deadline | undefined;
  seen: z.infer<typeof SeenBoot> | undefined;
  report: DeadlineReport | undefined;
  /** The deadline that put the board back. */
  isBackTo: Deadline | undefined;
  fateOf(key: string, choose: () => Fate): Fate;
  /**
   * A program begins to make a change, which takes effect at `endsAt`.
   * @param how whether the program outlives its agent, and what else changes when it takes effect.
   */
  begin(effect: string, endsAt: number, how: { outlives: boolean; also: () => void }): Change;
  /** The change takes effect at once. */
  happen(effect: string): void;
  hasHappened(effect: string): boolean;
  /** Notes that the step has the effect's result, after which the effect must not be asked about again. */
  isDone(effect: string): void;
  /** Notes that the effect is probed or done. */
  isAskedAbout(effect: string): void;
  /** The program that still makes the change although its agent is dead. */
  running(effect: string): Change | undefined;
  /** Whether it was interrupted so that its state is unknown. */
  isUnclear(effect: string): boolean;
  /** The agent is killed, with or without its programs. */
  orphan(programsToo: boolean): void;
  boot(): void;
}

export interface Change {
  /** Ends the change without effect. */
  cut(): void;
  takeHold(): void;
  readonly endsAt: number;
}

export const effectKey = (attempt: AttemptId, name: string): string => `${formatAttempt(attempt)} ${name}`;

export const createWorld = (sim: Simulation, host: string): World => {
  const happened = new Map<string, number>();
  const done = new Set<string>();
  const unclear = new Set<string>();
  const fates = new Map<string, Fate>();
  const running = new Map<string, Change & { outlives: boolean }>();
  let boots = 0;
  const world: World = {
    bootId: `${host}-0`,
    deadline: undefined,
    fired: undefined,
    seen: undefined,
    report: undefined,
    isBackTo: undefined,
    fateOf(key, choose) {
      const known = fates.get(key);
      if (known) return known;
      const fate = choose();
      fates.set(key, fate);
      return fate;
    },
    begin(effect, endsAt, { outlives, also }) {
      const change = {
        endsAt,
        outlives,
        cut: () => void running.delete(effect),
        takeHold: () => {
          running.delete(effect);
          also();
          world.happen(effect);
        },
      };
      running.set(effect, change);
      return change;
    },
    happen(effect) {
      const times = (happened.get(effect) ?? 0) + 1;
      happened.set(effect, times);
      sim.trace?.(`${host}: the world: ${effect}`);
      if (times > 1)
        sim.breaks('an effect happens at most once past its probe', `${host}: ${effect}, ${times} times`);
    },
    hasHappened: (effect) => happened.has(effect),
    isDone: (effect) => void done.add(effect),
    isAskedAbout(effect) {
      if (done.has(effect))
        sim.breaks('an effect that is done is never asked about again', `${host}: ${effect}`);
    },
    running: (effect) => running.get(effect),
    isUnclear: (effect) => unclear.has(effect),
    orphan(programsToo) {
      for (const [effect, change] of running) {
        if (!programsToo || change.outlives) {
          const left = Math.max(change.endsAt - sim.time.now, 1);
          sim.trace?.(`${host}: ${effect} goes on without its agent`);
          sim.time.after(left, () => {
            if (running.get(effect) === change) change.takeHold();
          });
        } else {
          running.delete(effect);
          if (sim.random.chance(0.03)) unclear.add(effect);
        }
      }
    },
    boot() {
      running.clear(); // without power nothing goes on
      boots += 1;
      world.bootId = `${host}-${boots}`;
      sim.trace?.(`${host}: boots, ${world.bootId}`);
    },
  };
  return world;
};
