import { expect, it } from 'vitest';
import { z } from 'zod';
import { tolerant } from './tolerant.ts';

const Menu = z.strictObject({
  title: z.string(),
  dishes: z.array(z.strictObject({ name: z.string() })),
});

it('leaves out what it does not know, at every depth, and keeps the rest', () => {
  const newer = { title: 'noon', dishes: [{ name: 'soup', hot: true }, { name: 'bread' }], currency: 'EUR' };
  expect(tolerant(Menu).parse(newer)).toEqual({
    title: 'noon',
    dishes: [{ name: 'soup' }, { name: 'bread' }],
  });
  expect(newer.currency).toBe('EUR');
});

it('is as strict as ever about what it knows', () => {
  const { error } = tolerant(Menu).safeParse({ title: 1, dishes: [{ name: 'soup', hot: true }] });
  expect(error?.issues.map(({ path }) => path)).toContainEqual(['title']);
});
