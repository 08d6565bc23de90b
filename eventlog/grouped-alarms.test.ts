import { expect, it } from 'vitest';
import { type Alarm, AlarmGroups } from './grouped-alarms.ts';

const alarm = (sequence: number, changes: Partial<Alarm> = {}): Alarm => ({
  writer: 'fresnel',
  cause: 'signature',
  what: `sequence ${sequence}, ka.test.fresnel.x`,
  why: "its signature is not fresnel's",
  next: 'it is ignored',
  sequence,
  ...changes,
});
const groupsOf = (...alarms: Alarm[]) => {
  const groups = new AlarmGroups();
  for (const one of alarms) groups.note(one);
  return groups;
};

it('makes one line of what one writer does wrong in one way', () => {
  expect(groupsOf(alarm(3)).lines()).toEqual([
    "ALARM: sequence 3, ka.test.fresnel.x: its signature is not fresnel's; it is ignored",
  ]);
  const other = alarm(6, { writer: 'ohm' });
  const flood = Array.from({ length: 10_000 }, (_, nth) => alarm(10 + nth));
  expect(groupsOf(alarm(3), other, alarm(7, { cause: 'shape' }), ...flood).lines()).toEqual([
    "ALARM: 10001 messages of fresnel, sequence 3 to 10009: its signature is not fresnel's; it is ignored",
    expect.stringMatching(/^ALARM: sequence 6, /),
    expect.stringMatching(/^ALARM: sequence 7, /),
  ]);
});

it('counts a message once, also if the log is read again', () => {
  const groups = groupsOf(alarm(3), alarm(4), alarm(3), alarm(4));
  expect(groups.lines()[0]).toMatch(/^ALARM: 2 messages of fresnel, sequence 3 to 4/);
});

it('keeps a bounded number of groups, however many writers are named', () => {
  const many = Array.from({ length: 5_000 }, (_, nth) => alarm(nth + 1, { writer: `w${nth}` }));
  const lines = groupsOf(...many).lines();
  expect(lines.length).toBeLessThan(300);
  expect(lines.at(-1)).toMatch(/4800 messages of others/);
});

it('says by whom a message is acknowledged, and what is left', () => {
  const groups = groupsOf(alarm(3), alarm(4), alarm(9));
  groups.acknowledge({ sequence: 3, by: 'lars', why: 'a broken board' });
  groups.acknowledge({ sequence: 3, by: 'lars', why: 'a broken board' });
  groups.acknowledge({ sequence: 5, by: 'lars', why: 'nothing is there' });
  expect(groups.lines()).toEqual([
    "ALARM: 2 messages of fresnel, sequence 4 to 9: its signature is not fresnel's; it is ignored",
    "1 message of fresnel, sequence 3: its signature is not fresnel's; acknowledged by lars: a broken board",
  ]);
  const again = new AlarmGroups(JSON.parse(JSON.stringify(groups.kept())));
  expect(again.lines()).toEqual(groups.lines());
  for (const sequence of [4, 9]) again.acknowledge({ sequence, by: 'lars', why: 'a broken board' });
  expect(again.lines()).toEqual([
    "3 messages of fresnel, sequence 3 to 9: its signature is not fresnel's; acknowledged by lars: a broken board",
  ]);
});
