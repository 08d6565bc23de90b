import { expect, it } from 'vitest';
import { parseSubject, subjectOf } from './events.ts';

const asked = { iteration: 'iter5', type: 'BuildRequested', attempt: 12 } as const;

it('a subject is read as it was made', () => {
  for (const event of [asked, { ...asked, host: 'boltzmann' }])
    expect(parseSubject(subjectOf('reauktion', 'coordinator', event))).toEqual({
      fleet: 'reauktion',
      writer: 'coordinator',
      ...event,
    });
});

it('a subject of an unknown type is read as well, with everything after its number', () => {
  expect(parseSubject('ka.f.@lars._.Invented.1.a.b')).toEqual({
    fleet: 'f',
    writer: '@lars',
    iteration: '_',
    type: 'Invented',
    attempt: 1,
    host: 'a.b',
  });
});

it.each([
  '',
  'ka.f.w.i.T',
  'ka.f.w.i.T.',
  'ka.f.w.i.T.0',
  'ka.f.w.i.T.x',
  'ka.f..i.T.1',
  'ka.f.w.i.T.1.',
  'ka-out.f.w.i.T.1',
])('"%s" is no event’s subject', (subject) => {
  expect(parseSubject(subject)).toBeUndefined();
});
