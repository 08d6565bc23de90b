import { describe, expect, it } from 'vitest';
import { coordinator, type LoggedEvent } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import { examplePlan } from '../testing/example-plan.ts';
import { abort, answerOf, createHistory, startOf } from '../testing/history.ts';
import { historyNames, readHistory } from '../testing/recorded-history.ts';
import {
  type Aside,
  asideOf,
  canBePassed,
  passEnd,
  passEvent,
  setAside,
  takeBack,
} from './ended-iterations.ts';
import { evolve, hostsOf } from './evolve.ts';
import { initialState, type State } from './state.ts';

const eventsOf = (events: readonly LoggedEvent[]) => (name: string) =>
  events.filter(({ event }) => event.iteration === name);

describe('an iteration that has ended', () => {
  it.each(historyNames())(
    '%s is the fold of its own events, whatever the log holds beside them',
    (history) => {
      const { events } = readHistory(history);
      const whole = events.reduce(evolve, initialState);
      for (const [name, iteration] of whole.iterations)
        expect(eventsOf(events)(name).reduce(evolve, initialState).iterations.get(name)).toEqual(iteration);
    },
  );

  it.each(historyNames())('%s is the same after it was set aside at any place', (history) => {
    const { events } = readHistory(history);
    const whole = events.reduce(evolve, initialState);
    let state: State = initialState;
    for (const logged of events) {
      const { iteration } = logged.event;
      state = evolve(takeBack(state, iteration, eventsOf(events)), logged);
      const aside = asideOf(state, iteration);
      if (aside) state = setAside(state, aside);
      const isOpen = state.iterations.get(iteration)?.ended === undefined;
      expect(state.iterations.has(iteration) && !isOpen).toBe(false);
    }
    for (const name of state.ended.keys()) state = takeBack(state, name, eventsOf(events));
    expect(state.iterations.toObject()).toEqual(whole.iterations.toObject());
    expect({ ...state, iterations: null }).toEqual({ ...whole, iterations: null });
  });

  it.each(historyNames())('%s need not be read to know the state after it', (history) => {
    const { events } = readHistory(history);
    let whole: State = initialState;
    const asides = new Map<number, Aside>();
    for (const logged of events) {
      const { iteration } = logged.event;
      whole = evolve(takeBack(whole, iteration, eventsOf(events)), logged);
      const aside = asideOf(whole, iteration);
      if (aside) whole = setAside(whole, aside);
    }
    for (const iteration of whole.ended.keys()) {
      const full = takeBack(whole, iteration, eventsOf(events));
      const aside = asideOf(full, iteration) as Aside;
      asides.set(aside.iteration.ended.sequence, aside);
    }
    let state: State = initialState;
    for (const logged of events) {
      const { iteration, source: writer, writerseq: seq } = logged.event;
      if (whole.ended.has(iteration))
        state = passEvent(state, logged.sequence, { writer, seq, hash: sha256(logged.bytes) });
      else state = evolve(state, logged);
      const aside = asides.get(logged.sequence);
      if (aside) state = passEnd(state, JSON.parse(JSON.stringify(aside)));
    }
    expect(state).toEqual(whole);
  });

  it('has to be read if a start of its name was refused, which makes checkpoints due at its own place', () => {
    const loaded = examplePlan();
    const refusedFirst = [true, false].map((isRefused) => {
      const history = createHistory();
      if (isRefused) {
        history.command(startOf(loaded));
        history.decideOnce(answerOf(loaded, false));
        const { sequence, lastEnd, untold } = history.state;
        expect(history.events.at(-1)?.event.type).toBe('IterationRefused');
        expect(lastEnd).toBe(sequence);
        expect(untold.toObject()).toEqual(
          Object.fromEntries(hostsOf(loaded.plan).map((host) => [host, sequence])),
        );
      }
      history.command(startOf(loaded));
      history.decideOnce(answerOf(loaded));
      history.command(abort);
      history.settle();
      return canBePassed(asideOf(history.state, 'iter5') as Aside);
    });
    expect(refusedFirst).toEqual([false, true]);
  });

  it('is read again where it had ended before: a host may have been due a checkpoint for that end', () => {
    const { events } = readHistory('retried');
    const state = events.reduce(evolve, initialState);
    const [name] = [...state.iterations.keys()] as [string];
    expect(canBePassed(asideOf(state, name) as Aside)).toBe(false);
  });

  it('is never taken back as another one', () => {
    const { events } = readHistory('closed');
    const whole = events.reduce(evolve, initialState);
    const [name] = [...whole.iterations.keys()] as [string];
    const aside = setAside(whole, asideOf(whole, name) as Aside);
    expect(aside.iterations.size).toBe(0);
    expect(() => takeBack(aside, name, eventsOf(events.slice(0, -3)))).toThrow(
      'do not make the iteration that ended',
    );
  });

  it('keeps its name', () => {
    const loaded = examplePlan();
    const history = createHistory();
    history.command(startOf(loaded));
    history.decideOnce(answerOf(loaded));
    history.command({ do: 'Abort', iteration: 'iter5', by: 'mfritsche', why: 'enough' });
    history.settle();
    const aside = setAside(history.state, asideOf(history.state, 'iter5') as Aside);
    expect(aside.ended.get('iter5')).toMatchObject({ startedBy: 'mfritsche', ended: { status: 'aborted' } });
    expect(aside.writers.has(coordinator)).toBe(true);
    const again = createHistory({ ...history, state: aside });
    expect(() => again.command(startOf(loaded))).toThrow('name-taken');
  });
});
