import { expect, it } from 'vitest';
import { formatAttempt, isSameAttempt, parseAttempt } from './attempt-id.ts';

it('an attempt is read as it was spelt, and nothing else is one', () => {
  const attempt = { iteration: 'iter5', step: 'build', attempt: 12 } as const;
  expect(formatAttempt(attempt)).toBe('iter5 build 12');
  expect(parseAttempt('iter5 build 12')).toEqual(attempt);
  expect(isSameAttempt(attempt, { ...attempt })).toBe(true);
  expect(isSameAttempt(attempt, { ...attempt, attempt: 1 })).toBe(false);
  for (const text of [
    '',
    'iter5 build',
    'iter5 build 0',
    'iter5 build 01',
    'iter5 brew 1',
    ' iter5 build 1',
    'a b build 1',
  ])
    expect(parseAttempt(text), text).toBeUndefined();
});
