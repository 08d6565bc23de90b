import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { LogConnection } from '../../eventlog/connection/connect.ts';
import type { SealedEvent } from '../../eventlog/signing/seal.ts';
import { EventLog } from '../../eventlog/stream/event-log.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { coordinator, personWriter } from '../../schemas/events.ts';
import { cutTail, type LogServer, people, until } from '../../test/log-server.ts';
import type { State } from '../decider/state.ts';
import { replayCheck } from '../reading/replay.ts';
import { type PlayedFleet, startPlayedFleet } from '../testing/played-fleet.ts';

const iteration = 'iter5';
let played: PlayedFleet;
let log: LogServer;
let person: LogConnection;
let read: PlayedFleet['read'];
const play = (isEnough: (state: State) => boolean) => played.play(iteration, isEnough);
const start = () => played.start(iteration);
const sayAgain = (writer: string, sealed: SealedEvent) => played.sayAgain(writer, sealed);

beforeEach(async () => {
  played = await startPlayedFleet();
  ({ log, person, read } = played);
});
afterEach(() => played.stop());

/**
 * Kills the log's server and cuts the log. Returns what the log held before, and how many of these events it holds now.
 */
const lose = async (part: number): Promise<{ before: LoggedEvent[]; left: number }> => {
  const before = (await read()).events;
  await log.server.kill('SIGKILL');
  cutTail(join(log.folder, 'nats'), part);
  await log.server.restart();
  await until(() => person.rtt().catch(() => undefined));
  const left = (await read()).events.length;
  expect(left).toBeLessThan(before.length);
  return { before, left };
};

/** The part of the log's bytes from the first event of a type on. */
const partFrom = async (type: string): Promise<number> => {
  const { events } = await read();
  const bytes = (of: readonly LoggedEvent[]) => of.reduce((sum, { bytes }) => sum + bytes.length, 0);
  return bytes(events.slice(events.findIndex(({ event }) => event.type === type))) / bytes(events);
};

/** Every host sends all of its events again, one host after the other, and so in another order than before. */
const hostsSayAgain = async () => {
  for (const host of played.hosts)
    for (const sealed of played.said.get(host) ?? []) await sayAgain(host, sealed);
};

const isOpen = (step: 'build' | 'install' | 'sweep') => (state: State) =>
  state.iterations.get(iteration)?.attempts[step].at(-1)?.status === 'open';
const isClosed = (state: State) => state.iterations.get(iteration)?.ended?.status === 'closed';

const text = ({ bytes }: LoggedEvent) => new TextDecoder().decode(bytes);

/**
 * Checks that every fact is back, those of hosts and people byte for byte, and that the coordinator's follow from the
 * log.
 */
const checkWhole = async (before: readonly LoggedEvent[]) => {
  const { events } = await read();
  expect(replayCheck(events).mismatches).toEqual([]);
  const now = new Map(events.map((one) => [one.subject, one]));
  for (const one of before) {
    const found = now.get(one.subject);
    expect(found?.event.data).toEqual(one.event.data);
    if (found && one.event.source !== coordinator) expect(text(found)).toBe(text(one));
  }
};

it('a running coordinator notices that the log was cut, and writes the lost events again', async () => {
  const one = await played.startCoordinator();
  const stop = new AbortController();
  const cuts: number[] = [];
  let followed = 0;
  const onCut = (last: number) => void cuts.push(last);
  const following = new EventLog(person, log.trust).follow({ signal: stop.signal, onCut }, (one) => {
    followed = one.sequence;
  });
  await start();
  await play(isOpen('install'));
  const { before, left } = await lose(0.4);
  const lost = before.slice(left);
  expect(lost.filter(({ event }) => event.source === coordinator).length).toBeGreaterThan(1);
  for (const { event, subject } of lost) {
    const sealed = played.said.get(event.source)?.find((one) => one.subject === subject);
    if (sealed) await sayAgain(event.source, sealed);
    else await until(async () => (await read()).events.some((one) => one.subject === subject));
  }
  expect((await read()).events.map(text)).toEqual(before.map(text));
  await play(isClosed);
  await checkWhole(before);
  await until(async () => cuts.length === 1 && followed === (await read()).events.at(-1)?.sequence);
  stop.abort();
  await following;
  await one.stop();
  expect(one.told.filter((text) => text.startsWith('the log was cut'))).toHaveLength(1);
  expect(one.told.filter((text) => text.includes('ALARM'))).toEqual([]);
});

it('a coordinator that was down while the log was cut notices it by its copy', async () => {
  const copy = join(log.folder, 'state/log.db');
  const one = await played.startCoordinator({ copyFile: copy });
  await start();
  await play(isOpen('sweep'));
  await one.stop();
  const { before } = await lose(0.4);
  const next = await played.startCoordinator({ copyFile: copy });
  await hostsSayAgain();
  await play(isClosed);
  await checkWhole(before);
  await next.stop();
  expect(next.told.join('\n')).toContain('the log was cut');
});

it('a person’s event that the log has lost is reported, and nothing is decided without it', async () => {
  const one = await played.startCoordinator();
  await start();
  await play(isOpen('build'));
  const { before } = await lose(await partFrom('ReviewApproved'));
  await hostsSayAgain();
  const lost = (await read()).state.iterations.get(iteration)?.approvals.length;
  expect(lost).toBe(0);
  await until(() => one.told.some((text) => text.includes(`ka approve ${iteration} --as mfritsche`)));
  const held = (await read()).events.length;
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  expect((await read()).events).toHaveLength(held);
  for (const name of people.map(personWriter))
    for (const sealed of played.said.get(name) ?? []) await sayAgain(name, sealed);
  await play(isClosed);
  await checkWhole(before);
  await one.stop();
});

it('a damaged copy is moved aside, and the coordinator goes on', async () => {
  const { writeFileSync, readdirSync, mkdirSync } = await import('node:fs');
  mkdirSync(join(log.folder, 'state'));
  const copy = join(log.folder, 'state/log.db');
  writeFileSync(copy, 'no database '.repeat(1_000));
  const one = await played.startCoordinator({ copyFile: copy });
  await start();
  await play(isOpen('build'));
  await one.stop();
  expect(one.told.join('\n')).toContain("can't be used");
  expect(readdirSync(join(log.folder, 'state')).filter((name) => name.includes('damaged'))).toHaveLength(1);
});
