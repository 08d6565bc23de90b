import { expect, it } from 'vitest';
import { historyOf, until } from '../testing/history.ts';
import { stateAt } from './state-at.ts';
import { differences } from './state-diff.ts';

it('names each value that differs, by its keys and by the ids of a list’s entries', () => {
  const before = { a: 1, same: [1, 2], list: [{ id: 'C1', is: 'MISS' }], places: ['x'] };
  const after = {
    a: 2,
    same: [1, 2],
    list: [
      { id: 'C2', is: 'FAIL' },
      { id: 'C1', is: 'PASS' },
    ],
    places: ['x', 'y'],
  };
  expect(differences(before, after)).toEqual([
    { path: 'a', before: 1, after: 2 },
    { path: 'list.C1.is', before: 'MISS', after: 'PASS' },
    { path: 'list.C2.id', before: null, after: 'C2' },
    { path: 'list.C2.is', before: null, after: 'FAIL' },
    { path: 'places.2', before: null, after: 'y' },
  ]);
});

it('a value that becomes a list, or a list that is emptied, is shown whole or value by value', () => {
  expect(differences({ a: 'text' }, { a: { b: 1 } })).toEqual([
    { path: 'a', before: 'text', after: { b: 1 } },
  ]);
  expect(differences({ a: [1] }, { a: [] })).toEqual([{ path: 'a.1', before: 1, after: null }]);
  expect(differences({}, { a: [] })).toEqual([{ path: 'a', before: null, after: [] }]);
  expect(differences({ a: null }, { a: 0 })).toEqual([{ path: 'a', before: null, after: 0 }]);
  expect(differences({ a: 1 }, { a: 1 })).toEqual([]);
});

it('between two points of a log it shows which attempts, clauses and hosts changed, and backwards the reverse', () => {
  const { events } = historyOf(...until('land'));
  const at = (type: string) => events.find(({ event }) => event.type === type)?.sequence ?? 0;
  const [asked, done] = [at('PreflightRequested'), at('PreflightSucceeded')];
  const forth = differences(stateAt(events, asked), stateAt(events, done));
  expect(forth).toContainEqual({
    path: 'iterations.iter5.steps.preflight.1.status',
    before: 'open',
    after: 'succeeded',
  });
  expect(forth).toContainEqual({
    path: 'iterations.iter5.clauses.C1.verdict',
    before: 'MISS',
    after: 'PASS',
  });
  const back = differences(stateAt(events, done), stateAt(events, asked));
  expect(back).toEqual(forth.map(({ path, before, after }) => ({ path, before: after, after: before })));
});
