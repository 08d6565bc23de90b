import { createEffect, type EffectJournal, type WatchEffects } from '../../agents/runtime/effects.ts';
import { NeedsPerson, StepFailed, Superseded } from '../../agents/runtime/errors.ts';
import type { NotedRequest } from '../../agents/runtime/journal/requests.ts';
import { stepEffects } from '../../schemas/effects.ts';
import { stepEventType } from '../../schemas/events.ts';
import type { StepName } from '../../schemas/step-names.ts';
import type { Life, SimulatedHost } from './simulated-host.ts';
import { killed, type Simulation } from './simulation.ts';
import { effectKey, type Fate } from './world.ts';

/** As in `agents/runtime/work-loop.ts`. */
const tries = 6;
const pauseMs = (tried: number) => Math.min(500 * 2 ** tried, 30_000);

export interface WorkMutations {
  /** An effect acts without saying so first. */
  journalsNoIntent: boolean;
  /** After a crash the effect is simply done again. */
  probesNever: boolean;
  /** The result is journalled before the change is made. */
  journalsResultFirst: boolean;
}

export interface Evidence {
  good: (step: StepName) => unknown;
  bad: (step: StepName) => unknown;
}

/** As an AbortController, of which effects ask one thing alone; the real one is dear. */
const createStop = () => {
  let aborted: Error | undefined;
  const throwIfAborted = () => {
    if (aborted) throw aborted;
  };
  return {
    abort: (reason: Error) => {
      aborted = reason;
    },
    signal: { throwIfAborted } as AbortSignal,
  };
};

/** How long the board waits, after a boot, for somebody to confirm the new kernel. */
const confirmWithinMs = 240_000;

/**
 * A host's work loop, after `agents/runtime/work-loop.ts`. The effects run by the real protocol, over a journal at whose
 * writes the process may be killed; what they do to the world is simulated.
 */
export const createWork =
  (sim: Simulation, evidence: Evidence, mutations: WorkMutations) =>
  async (host: SimulatedHost, life: Life): Promise<void> => {
    const { random, time } = sim;
    const { journal, world } = host;

    const effectJournal: EffectJournal = {
      requests: journal.requests,
      effects: {
        of: (request, name) => journal.effects.of(request, name),
        noteIntent(request, name, before) {
          if (!mutations.journalsNoIntent) journal.effects.noteIntent(request, name, before);
          if (mutations.journalsResultFirst) journal.effects.noteResult(request, name, 'null');
        },
        noteResult: (request, name, result) => journal.effects.noteResult(request, name, result),
      },
    };
    const watch: WatchEffects = (_name, phase) => {
      if (phase === 'intent' || phase === 'acted' || phase === 'result') host.boundary(phase);
    };

    const chooseFate = (effects: readonly string[]) => (): Fate => {
      if (!sim.faulty) return { ends: 'good', at: 0, hiccups: 0 };
      return {
        ends: random.pick(['good', 'good', 'good', 'good', 'good', 'good', 'bad', 'work', 'host', 'host']),
        at: random.between(0, effects.length),
        hiccups: random.chance(0.1) ? random.between(1, 7) : 0,
      };
    };

    const rebootBoard = (): never => {
      const { deadline } = world;
      host.kill({ downMs: random.pick([5_000, 20_000]), power: true });
      if (deadline)
        time.after(confirmWithinMs, () => {
          if (world.deadline !== deadline) return; // called off
          world.deadline = undefined;
          world.wentBack = deadline;
          sim.trace?.(`${host.name}: the board's own deadline has passed`);
          if (host.life) host.kill({ downMs: 20_000, power: true });
          else world.boot();
        });
      throw killed;
    };

    /** What the change is, beside that it has happened. */
    const change = (request: NotedRequest, name: string): void => {
      const { iteration, attempt } = request;
      if (name === 'arm') world.deadline = { iteration, attempt, bootId: world.bootId, isTold: false };
      if (name === 'disarm') world.deadline = undefined;
    };

    const act = async (request: NotedRequest, name: string): Promise<string> => {
      const { iteration, step, attempt } = request;
      const effect = effectKey(iteration, step, attempt, name);
      if (journal.requests.isSuperseded(request))
        sim.breaks('nothing is begun for an attempt that the host knows to be superseded', effect);
      if (name === 'reboot') {
        world.happen(effect);
        return rebootBoard();
      }
      const outlives = step === 'install' || step === 'rollback';
      const takesMs = random.pick([5, 50, 500, 5_000, 30_000]);
      const also = () => change(request, name);
      const doing = world.begin(effect, time.now + takesMs, { outlives, also });
      try {
        await host.pause(life, takesMs, !outlives);
      } catch (error) {
        doing.cut();
        throw error;
      }
      doing.takeHold();
      await host.pause(life, 1, false);
      return name;
    };

    const runEffects = async (request: NotedRequest, signal: AbortSignal): Promise<unknown> => {
      const { iteration, step, attempt } = request;
      // One effect is done for each package: its name follows.
      const effects = stepEffects[step].flatMap((name) =>
        name === 'package' && step === 'stage' ? (['package a', 'package b'] as const) : [name],
      );
      const fate = world.fateOf(`${iteration} ${step} ${attempt}`, chooseFate(effects));
      // What each effect is of no matter here, nor which step's it is.
      const effect = createEffect<StepName>(effectJournal, request, signal, watch);
      const mayFail = (at: number) => {
        const needsNewKernel = step === 'sweep' || step === 'confirm';
        if (needsNewKernel && world.wentBack) throw new StepFailed('host', 'the board went back');
        if (fate.at !== at) return;
        if (journal.requests.tries(request) <= fate.hiccups) throw new Error('the disk hiccups');
        if (fate.ends === 'work' || fate.ends === 'host') throw new StepFailed(fate.ends, 'it broke');
      };
      if (effects.length === 0) await host.pause(life, random.pick([5, 500, 5_000]), true);
      for (const [at, name] of effects.entries()) {
        mayFail(at);
        const key = effectKey(iteration, step, attempt, name);
        await effect<string, string>(name, {
          before: () => world.bootId,
          probe: async (bootId) => {
            if (mutations.probesNever) return { happened: 'no' };
            // A program that its agent's death left alone is waited for.
            const left = world.running(key);
            await host.pause(
              life,
              left ? Math.max(left.endsAt - time.now, 0) + 1 : random.pick([1, 2_000]),
              false,
            );
            if (world.hasHappened(key)) return { happened: 'yes', result: name };
            if (world.isUnclear(key)) return { happened: 'unknown', why: 'it was cut' };
            return name === 'reboot' && world.bootId !== bootId
              ? { happened: 'yes', result: name }
              : { happened: 'no' };
          },
          act: () => act(request, name),
        });
      }
      mayFail(effects.length);
      for (const name of effects)
        if (name !== 'reboot' && !world.hasHappened(effectKey(iteration, step, attempt, name)))
          sim.breaks(
            'a step that has succeeded has had every effect',
            `${iteration} ${step} ${attempt} ${name}`,
          );
      return fate.ends === 'bad' ? evidence.bad(step) : evidence.good(step);
    };

    const runRequest = async (request: NotedRequest): Promise<void> => {
      const { iteration, step, attempt, eventId } = request;
      const stop = createStop();
      life.running = { request, abort: stop.abort };
      const outcome = (fact: 'Succeeded' | 'Failed', data: unknown) =>
        host.put(
          { type: stepEventType(step, fact), iteration, attempt, causationid: eventId, data },
          request,
        );
      const failed = (fault: 'work' | 'host', reason: string) =>
        outcome('Failed', { fault, reason, output: [], begun: journal.effects.begun(request) });
      journal.requests.noteTry(request, sim.wallClock());
      try {
        outcome('Succeeded', { evidence: await runEffects(request, stop.signal), seconds: 1 });
      } catch (error) {
        if (error === killed) throw error;
        if (error instanceof Superseded || journal.requests.isSuperseded(request)) return;
        const reason = error instanceof Error ? error.message : String(error);
        const tried = journal.requests.tries(request);
        if (error instanceof StepFailed) failed(error.fault, reason);
        else if (error instanceof NeedsPerson || tried >= tries) failed('host', reason);
        else if (!(error instanceof Error) || reason !== 'the disk hiccups')
          sim.breaks('the code under test does not throw', String(error));
        else await host.pause(life, pauseMs(Math.max(0, tried - 1)), true).catch(() => undefined);
      } finally {
        life.running = undefined;
      }
    };

    const news = () =>
      new Promise<void>((resolve) => {
        life.wake = () => {
          life.wake = undefined;
          return host.resume(life, resolve);
        };
        life.park();
      });

    try {
      for (;;) {
        const request = journal.requests.next();
        if (request) await runRequest(request);
        else await news();
      }
    } catch (error) {
      if (error !== killed) sim.breaks('the code under test does not throw', String(error));
      life.park();
    }
  };
