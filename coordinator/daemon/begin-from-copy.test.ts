import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { createVerifier } from '../../eventlog/signing/verifier.ts';
import { deliverKnown } from '../../eventlog/stream/known-messages.ts';
import { leafOf } from '../../eventlog/tree/log-tree.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { createRandom } from '../../test/simulation/random.ts';
import { isThorough } from '../../test/thorough/thorough.ts';
import { takeBack } from '../decider/ended-iterations.ts';
import { evolve } from '../decider/evolve.ts';
import { initialState } from '../decider/state.ts';
import { readHistory } from '../testing/recorded-history.ts';
import { beginFrom } from './begin-from-copy.ts';
import { LogCopy } from './log-copy.ts';
import { createLogView } from './log-view.ts';
import { checkedBy } from './open-log-copy.ts';

const folder = mkdtempSync(join(tmpdir(), 'ka-copy-'));
afterAll(() => rmSync(folder, { recursive: true }));
const { events, trust } = readHistory('closed');
const file = join(folder, 'log.db');

const viewOver = (copy: LogCopy) =>
  createLogView(trust, {
    isWhole: () => true,
    eventsOf: (name) => copy.eventsOf(name),
    keep: (...ended) => copy.keepEnded(...ended),
    forget: (name) => copy.forgetEnded(name),
  });
type View = ReturnType<typeof viewOver>;
const settleAll = (view: View) => {
  for (const name of view.undecided) view.settle(name);
};

/** Reads as the daemon does: what the copy has, and what the log has beyond it, or all of it. */
const readWith = async (copy: LogCopy, log: readonly LoggedEvent[], by: Trust = trust) => {
  const said: string[] = [];
  const view = viewOver(copy);
  const known = beginFrom(copy, view, (text) => said.push(text));
  const handed = await deliverKnown(known, createVerifier(by), async (message, verified) => {
    if (!verified) return;
    if ('logged' in verified) view.takeEvent(verified.logged);
    else view.passOver(message.sequence);
  });
  if (!handed) view.reset();
  for (const logged of log.slice(handed ? (handed.at(-1)?.sequence ?? 0) : 0)) {
    const message = { ...logged, signature: logged.signature ?? '' };
    const leaf = leafOf(message);
    view.takeMessage(message, leaf);
    copy.keep(message, logged.event.writerseq, leaf);
    view.takeEvent(logged);
  }
  return { view, said, isFromCopy: handed !== undefined && handed.length > 0 };
};

const whole = events.reduce(evolve, initialState);
/** What a view knows, whether or not it holds it in memory. */
const expectWhole = (view: View, copy: LogCopy) => {
  let { state } = view;
  for (const name of state.ended.keys()) state = takeBack(state, name, (of) => copy.eventsOf(of));
  expect(state.iterations.toObject()).toEqual(whole.iterations.toObject());
  expect({ ...state, iterations: null }).toEqual({ ...whole, iterations: null });
  expect(view.tree.size).toBe(events.length);
};

const made = new LogCopy(file, checkedBy(trust));
const first = await readWith(made, events);
settleAll(first.view);
made.close();
const good = readFileSync(file);

const openCopy = (bytes: Uint8Array, by: Trust = trust) => {
  const place = join(folder, 'other.db');
  for (const end of ['-wal', '-shm']) rmSync(place + end, { force: true });
  writeFileSync(place, bytes);
  return new LogCopy(place, checkedBy(by));
};

it('begins where the copy ends, and holds nothing of what has ended', async () => {
  const copy = openCopy(good);
  const { view, said, isFromCopy } = await readWith(copy, []);
  expect({ said, isFromCopy }).toEqual({ said: [], isFromCopy: true });
  expect(view.state.iterations.size).toBe(0);
  expect(view.state.ended.size).toBe(whole.iterations.size);
  expectWhole(view, copy);
  copy.close();
});

it('is no copy where the fleet’s file pins something else: a key may have been revoked since', async () => {
  const writers = new Map([...trust.writers].slice(1));
  const copy = openCopy(good, { ...trust, writers });
  const { said, isFromCopy, view } = await readWith(copy, events);
  expect(said).toEqual([
    'the copy is made again from the log: sequence 1 of the copy of the log is not what was checked by these keys',
  ]);
  expect(isFromCopy).toBe(false);
  expectWhole(view, copy);
  copy.close();
});

it('reads the same whichever bit of the copy is another one', async () => {
  const random = createRandom(5);
  let noticed = 0;
  const tries = isThorough ? 150 : 50;
  for (let tried = 0; tried < tries; tried += 1) {
    const bytes = Buffer.from(good);
    const at = random.below(bytes.length);
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random.below(8)), at);
    let copy: LogCopy;
    try {
      copy = openCopy(bytes);
    } catch {
      noticed += 1; // a new one is made
      continue;
    }
    const { view, said } = await readWith(copy, events);
    noticed += said.length;
    expectWhole(view, copy);
    copy.close();
  }
  expect(noticed).toBeGreaterThan(tries / 8);
});
