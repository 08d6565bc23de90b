import { expect, it } from 'vitest';
import { advance, given } from '../testing/given.ts';
import { started } from '../testing/history.ts';
import { advance as advanceOne } from './advance.ts';
import { ruleBook } from './rules.ts';

// Format 1 begins without rules. This is an example of a later one.
const book = ruleBook({ buildsAreAttested: 'a build that nobody attests was taken before' });

/** A decision that depends on the rule. */
const isTaken = (iteration: { rules: readonly string[] }, { attested }: { attested: boolean }): boolean =>
  attested || !book.holds(iteration, 'buildsAreAttested');

it('an iteration keeps the rules under which it was accepted, to its end', () => {
  const [before, since] = [{ rules: [] }, { rules: [...book.names] }];
  expect(isTaken(before, { attested: false })).toBe(true);
  expect(isTaken(since, { attested: false })).toBe(false);
  expect(book.unknownIn(since)).toEqual([]);
});

it('an iteration that a newer coordinator accepted under unknown rules is left alone', () => {
  const { history } = given(started());
  const newer = { ...history.iteration(), rules: ['buildsAreTwice'] };
  expect(book.unknownIn(newer)).toEqual(['buildsAreTwice']);
  expect(advanceOne(newer, history.state)).toEqual([]);
  given(started()).when(advance).then('PreflightRequested.1 → boltzmann', 'KeycheckRequested.1 → hertz');
});
