import { commandsBehind } from '../../coordinator/decider/commands-behind.ts';
import { type Command, decide } from '../../coordinator/decider/decide.ts';
import { reviewOf } from '../../coordinator/decider/graph.ts';
import { RefusedByDecider } from '../../coordinator/decider/refusal.ts';
import type { Iteration, State } from '../../coordinator/decider/state.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { type SealedEvent, sealEvent } from '../../eventlog/signing/seal.ts';
import { type LoggedEvent, type NewEvent, noIteration, personWriter } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import type { Random } from './random.ts';
import type { SimulatedLog } from './simulated-log.ts';
import type { Simulation } from './simulation.ts';
import { writerAt } from './writer-at.ts';

export interface SimulatedPeople {
  /** The people who never answer. */
  readonly silent: ReadonlySet<string>;
  /** Whether they will ask for nothing more on their own. */
  areContent(): boolean;
}

const lookEveryMs = 15_000;

/**
 * People at the command line, after `coordinator/commands/session.ts`: they read the log, decide, and append.
 * @param luck decides whether a key is stolen and revoked: with numbers of its own, so that all else stays as it was.
 */
export const createSimulatedPeople = (
  sim: Simulation,
  log: SimulatedLog,
  fleet: Fleet,
  luck: Random,
): SimulatedPeople => {
  const { random, time } = sim;
  const people = ['mfritsche', 'architect'];
  const silent = new Set(random.chance(0.08) ? [random.pick(people)] : []);
  let retriesLeft = random.chance(0.2) ? random.between(1, 2) : 0;
  let wishesLeft = random.chance(0.15) ? 1 : 0;

  /** Their events, by subject: the coordinator tells them if the log has lost one. */
  const said = new Map<string, SealedEvent & Pick<LoggedEvent, 'event'>>();
  const of = (writer: string) => writerAt(log, async (atServer) => atServer(), writer);

  const put = async (event: NewEvent, state: State): Promise<void> => {
    const writer = personWriter((event.data as { by: string }).by);
    const sealed = sealEvent(
      event,
      { fleet: fleet.fleet, name: writer, key: testKey(writer) },
      state.writers.get(writer),
      new Date(sim.wallClock()).toISOString(),
    );
    await of(writer).append(sealed, state.sequence);
    const logged = log.under(sealed.subject);
    if (logged) said.set(sealed.subject, { ...sealed, ...logged, signature: sealed.signature });
  };
  const say = async (command: Command): Promise<void> => {
    if (!log.isUp) return;
    const state = log.stateAt(log.last);
    try {
      const [event] = decide(command, state);
      if (event) await put(event, state);
    } catch (error) {
      if (!(error instanceof RefusedByDecider)) throw error;
      sim.trace?.(`people: ${command.do} is refused: ${error.message}`);
    }
  };

  /**
   * People repeat their lost events, which the coordinator names, and restore unchanged those that can't be repeated.
   */
  const sayAgain = async (): Promise<void> => {
    for (const [subject, sealed] of said) {
      if (log.under(subject) || random.chance(0.7)) continue;
      for (const command of commandsBehind(sealed.event)) await say(command);
      if (!log.under(subject) && random.chance(0.3)) await of(sealed.event.source).append(sealed);
    }
  };

  const lookAt = async (iteration: Iteration): Promise<void> => {
    const { name } = iteration;
    const review = reviewOf(iteration);
    if (review?.asked && !iteration.ended)
      for (const by of review.missing)
        if (!silent.has(by) && random.chance(0.3))
          await say(
            sim.faulty && random.chance(0.03)
              ? { do: 'Reject', iteration: name, by, note: '' }
              : { do: 'Approve', iteration: name, by, note: '', expires: '2099-01-01T00:00:00Z' },
          );
    if (iteration.ended?.status === 'failed' && retriesLeft > 0 && random.chance(0.3)) {
      retriesLeft -= 1;
      await say({ do: 'Retry', iteration: name, by: 'mfritsche' });
    }
    if (wishesLeft > 0 && sim.faulty && random.chance(0.05)) {
      wishesLeft -= 1;
      if (random.chance(0.5)) await say({ do: 'Abort', iteration: name, by: 'mfritsche', why: '' });
      else await say({ do: 'Waive', iteration: name, clause: 'C7', by: 'mfritsche', why: 'known' });
    }
  };

  /** The key counts on: no signature is checked here, and its writer would have another by then. */
  let stolen = luck.chance(0.15) ? luck.pick(['@architect', 'boltzmann']) : undefined;
  const revoke = async (): Promise<void> => {
    if (stolen === undefined || !sim.faulty || !luck.chance(0.1)) return;
    const data = { writer: stolen, publicKey: testKey(stolen).publicKey, by: 'mfritsche', why: 'stolen' };
    stolen = undefined;
    sim.trace?.(`people: the key of ${data.writer} is revoked`);
    const event: NewEvent = { type: 'KeyRevoked', iteration: noIteration, attempt: 1, data };
    await put(event, log.stateAt(log.last));
  };

  const lookAround = async (): Promise<void> => {
    if (log.isUp && log.cuts > 0) await sayAgain();
    if (log.isUp) await revoke();
    if (log.isUp) for (const iteration of log.stateAt(log.last).iterations.values()) await lookAt(iteration);
  };
  const look = (): void => {
    lookAround().catch((error: unknown) =>
      sim.breaks('the code under test does not throw', `people: ${error}`),
    );
    time.settles();
    time.after(lookEveryMs, look);
  };
  time.after(random.below(lookEveryMs), look);
  return { silent, areContent: () => retriesLeft === 0 && wishesLeft === 0 };
};
