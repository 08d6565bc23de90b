import { beforeEach, expect, it } from 'vitest';
import { createDurableWatch } from './durable-watch.ts';

let nowMs: number;
const clock = { monotonicMs: () => nowMs };
beforeEach(() => {
  nowMs = 0;
});

const message = (handed: number, pending: number) => ({ handed, pending });

it('a durable that delivers from its beginning has delivered all once its last message is noted', () => {
  const watch = createDurableWatch(clock);
  expect(watch.hasHandedAll()).toBe(false);
  watch.given(message(1, 1));
  watch.noted();
  expect(watch.hasHandedAll()).toBe(false);
  watch.given(message(2, 0));
  expect(watch.hasHandedAll()).toBe(false);
  watch.noted();
  expect(watch.hasHandedAll()).toBe(true);
  watch.ended();
  expect(watch.hasHandedAll()).toBe(false);
});

it('a durable that goes on in its middle has, once nothing came for longer than it takes to make it again', () => {
  const watch = createDurableWatch(clock);
  watch.given(message(7, 0));
  watch.noted();
  watch.given('nothing now');
  nowMs += 11_000;
  watch.given('nothing now');
  expect(watch.hasHandedAll()).toBe(false);
  watch.given(message(8, 0)); // what an earlier process had not acked
  watch.noted();
  watch.given('nothing now');
  nowMs += 11_000;
  expect(watch.hasHandedAll()).toBe(false);
  nowMs += 2_000;
  expect(watch.hasHandedAll()).toBe(true);
});
