import { type Deadline, isDone } from '../../agents/board/deadline/deadline.ts';
import { StepFailed } from '../../agents/runtime/errors.ts';
import type { Journal } from '../../agents/runtime/journal/journal.ts';
import type { Clock } from '../../agents/runtime/ports.ts';
import type { StepTable } from '../../agents/runtime/run-step.ts';
import type { StepContext } from '../../agents/runtime/step.ts';
import { type AttemptId, formatAttempt } from '../../schemas/attempt-id.ts';
import { type EffectName, stepEffects } from '../../schemas/effects.ts';
import { type StepName, stepNames } from '../../schemas/step-names.ts';
import { bootOf } from './simulated-deadline.ts';
import type { Simulation } from './simulation.ts';
import { effectKey, type Fate, type World } from './world.ts';

export interface Evidence {
  good: (step: StepName) => unknown;
  bad: (step: StepName) => unknown;
}

/** The objects on which a host's steps act. */
export interface StepWorld {
  world: World;
  journal: Journal;
  clock: Clock;
  /** The board reboots, and its agent dies with the boot. */
  reboot: () => void;
}

type Context = StepContext<null, EffectName>;

const wentBack = () => new StepFailed('host', 'the deadline has gone off, and the board goes back');

const chooseFate = ({ random, faulty }: Simulation, effects: readonly string[]): Fate => {
  if (!faulty) return { ends: 'good', at: 0, hiccups: 0 };
  return {
    ends: random.pick(['good', 'good', 'good', 'good', 'good', 'good', 'bad', 'work', 'host', 'host']),
    at: random.between(0, effects.length),
    hiccups: random.chance(0.1) ? random.between(1, 7) : 0,
  };
};

/** How long boards wait after a boot for a confirmation of the new kernel: a short time passes often. */
const confirmWithinSeconds = [20, 90, 240];

/** The further consequences of an effect, besides that it has happened. */
const change = (
  world: World,
  { iteration, attempt }: AttemptId,
  name: string,
  { backup, seconds }: Pick<Deadline, 'backup' | 'seconds'>,
): void => {
  if (name === 'disarm') world.deadline = undefined;
  if (name !== 'arm') return;
  const boot = bootOf(world);
  const version = '7.0-2';
  world.fired = world.seen = world.report = undefined;
  world.deadline = { iteration, attempt, boot, version, seconds, archive: 'a', backup };
};

/** Waits until a deadline that has gone off is done, before its board is armed again or rolled back. */
const deadlineIsDone = async ({ world, clock }: StepWorld, signal: AbortSignal): Promise<void> => {
  const isAtIt = () => world.fired && !(world.report && isDone(world.report, world.bootId));
  while (isAtIt()) {
    await clock.pause(5_000, signal);
    signal.throwIfAborted();
  }
};

/** Makes a change to the world, which takes time. If the agent's stop ends it, nothing has changed. */
const act = async (
  { random, time, breaks }: Simulation,
  host: StepWorld,
  context: Context,
  name: string,
  backup: Deadline['backup'],
): Promise<string> => {
  const { step, signal } = context;
  const { world, journal, clock, reboot } = host;
  const effect = effectKey(context, name);
  if (journal.requests.isSuperseded(context))
    breaks('nothing is begun for an attempt that the host knows to be superseded', effect);
  if (name === 'reboot') {
    world.happen(effect);
    reboot();
    return new Promise(() => undefined); // nothing follows a reboot
  }
  const outlives = step === 'install' || step === 'rollback';
  const takesMs = random.pick([5, 50, 500, 5_000, 30_000]);
  if (name === 'arm' || (name === 'disarm' && step === 'rollback')) await deadlineIsDone(host, signal);
  const seconds = random.pick(confirmWithinSeconds);
  const also = () => change(world, context, name, { backup, seconds });
  const doing = world.begin(effect, time.now + takesMs, { outlives, also });
  await clock.pause(takesMs, outlives ? undefined : signal);
  if (signal.aborted && !outlives) {
    doing.cut();
    throw signal.reason;
  }
  doing.takeHold();
  await clock.pause(1);
  if (step === 'confirm' && world.fired) throw wentBack();
  return name;
};

/** Whether a change has happened in the world. Waits for a program that outlived its agent. */
const probe = async (
  { random, time }: Simulation,
  { world, clock }: StepWorld,
  key: string,
  name: string,
  bootId: string,
) => {
  const left = world.running(key);
  await clock.pause(left ? Math.max(left.endsAt - time.now, 0) + 1 : random.pick([1, 2_000]));
  if (world.hasHappened(key)) return { happened: 'yes', result: name } as const;
  if (world.isUnclear(key)) return { happened: 'unknown', why: 'it was cut' } as const;
  return name === 'reboot' && world.bootId !== bootId
    ? ({ happened: 'yes', result: name } as const)
    : ({ happened: 'no' } as const);
};

/** A step whose effects are simulated; the protocol by which they run is the agent's own. */
const simulatedStep =
  (sim: Simulation, host: StepWorld, evidence: Evidence) =>
  async (_request: unknown, context: Context): Promise<unknown> => {
    const { random } = sim;
    const { world, journal, clock } = host;
    const { step, effect, signal } = context;
    // This effect is done once per package, whose name follows the effect's.
    const effects: (EffectName | `${EffectName} ${string}`)[] = stepEffects[step].flatMap((name) =>
      name === 'package' && step === 'stage' ? (['package a', 'package b'] as const) : [name],
    );
    const fate = world.fateOf(formatAttempt(context), () => chooseFate(sim, effects));
    const mayFail = (at: number) => {
      const needsNewKernel = step === 'sweep' || step === 'confirm';
      if (needsNewKernel && world.fired) throw wentBack();
      if (fate.at !== at) return;
      if (journal.requests.tries(context) <= fate.hiccups) throw new Error('the disk hiccups');
      if (fate.ends === 'work' || fate.ends === 'host') throw new StepFailed(fate.ends, 'it broke');
    };
    if (effects.length === 0) await clock.pause(random.pick([5, 500, 5_000]), signal);
    signal.throwIfAborted();
    for (const [at, name] of effects.entries()) {
      mayFail(at);
      const key = effectKey(context, name);
      await effect<string, string>(name, {
        before: () => world.bootId,
        probe: (bootId) => {
          world.isAskedAbout(key);
          return probe(sim, host, key, name, bootId);
        },
        act: () => {
          world.isAskedAbout(key);
          return act(sim, host, context, name, evidence.good('backup') as Deadline['backup']);
        },
      });
      world.isDone(key);
    }
    mayFail(effects.length);
    for (const name of effects)
      if (name !== 'reboot' && !world.hasHappened(effectKey(context, name)))
        sim.breaks('a step that has succeeded has had every effect', `${formatAttempt(context)} ${name}`);
    return fate.ends === 'bad' ? evidence.bad(step) : evidence.good(step);
  };

/** The steps of every role. */
export const simulatedSteps = (sim: Simulation, host: StepWorld, evidence: Evidence): StepTable<null> =>
  Object.fromEntries(stepNames.map((step) => [step, simulatedStep(sim, host, evidence)])) as StepTable<null>;
