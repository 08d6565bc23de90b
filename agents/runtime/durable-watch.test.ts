import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { PulledMessage } from '../../eventlog/stream/pull.ts';
import { createDurableWatch } from './durable-watch.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

const message = (handed: number, pending: number): PulledMessage => ({
  seq: 10 + handed,
  subject: 'ka.test.coordinator.iter1.BuildRequested.1.boltzmann',
  data: new Uint8Array(),
  handed,
  pending,
  ack: async () => undefined,
  term: () => undefined,
});

it('a durable that hands over from its begin has handed all over once its last message is noted', () => {
  const watch = createDurableWatch();
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

it('a durable that goes on in its middle has, once nothing came for longer than it takes to make it anew', () => {
  const watch = createDurableWatch();
  watch.given(message(7, 0));
  watch.noted();
  watch.given('nothing now');
  vi.advanceTimersByTime(11_000);
  watch.given('nothing now');
  expect(watch.hasHandedAll()).toBe(false);
  watch.given(message(8, 0)); // what a process before this one had not acked
  watch.noted();
  watch.given('nothing now');
  vi.advanceTimersByTime(11_000);
  expect(watch.hasHandedAll()).toBe(false);
  vi.advanceTimersByTime(2_000);
  expect(watch.hasHandedAll()).toBe(true);
});
