import { describe, expect, it } from 'vitest';
import { coordinator, type LoggedEvent } from '../../schemas/events.ts';
import { examplePlan } from '../testing/example-plan.ts';
import { answerOf, createHistory, startOf } from '../testing/history.ts';
import { historyNames, readHistory } from '../testing/recorded-history.ts';
import { setAside, takeBack } from './ended-iterations.ts';
import { evolve } from './evolve.ts';
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
      state = setAside(state, iteration, eventsOf(events));
      const isOpen = state.iterations.get(iteration)?.ended === undefined;
      expect(state.iterations.has(iteration) && !isOpen).toBe(false);
    }
    for (const name of state.ended.keys()) state = takeBack(state, name, eventsOf(events));
    expect(state.iterations.toObject()).toEqual(whole.iterations.toObject());
    expect({ ...state, iterations: null }).toEqual({ ...whole, iterations: null });
  });

  it('stays in memory where what is kept of it is not all of it, and is never taken back as another one', () => {
    const { events } = readHistory('closed');
    const whole = events.reduce(evolve, initialState);
    const [name] = [...whole.iterations.keys()] as [string];
    const less = eventsOf(events.slice(0, -3));
    expect(setAside(whole, name, less)).toBe(whole);
    const aside = setAside(whole, name, eventsOf(events));
    expect(aside.iterations.size).toBe(0);
    expect(() => takeBack(aside, name, less)).toThrow('do not make the iteration that ended');
  });

  it('keeps its name', () => {
    const loaded = examplePlan();
    const history = createHistory();
    history.command(startOf(loaded));
    history.decideOnce(answerOf(loaded));
    history.command({ do: 'Abort', iteration: 'iter5', by: 'mfritsche', why: 'enough' });
    history.settle();
    const aside = setAside(history.state, 'iter5', eventsOf(history.events));
    expect(aside.ended.get('iter5')).toMatchObject({ startedBy: 'mfritsche', ended: { status: 'aborted' } });
    expect(aside.writers.has(coordinator)).toBe(true);
    const again = createHistory({ ...history, state: aside });
    expect(() => again.command(startOf(loaded))).toThrow('name-taken');
  });
});
