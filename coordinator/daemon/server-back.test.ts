import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { payloadTypes } from '../../eventlog/signing/writer-key.ts';
import { coordinator } from '../../schemas/events.ts';
import { exampleFleet } from '../testing/example-plan.ts';
import { historyOf, started } from '../testing/history.ts';
import { testKey } from '../testing/test-key.ts';
import { runCoordinator } from './daemon.ts';
import type { CoordinatorPorts, FollowReports } from './ports.ts';

it('after a loss of the server nothing is decided before the log was compared again', async () => {
  const { events } = historyOf(started());
  const appended: string[] = [];
  let losses = 0;
  let told: FollowReports | undefined;
  const stop = new AbortController();
  const ports: CoordinatorPorts = {
    log: {
      lastSequence: async () => events.length,
      async follow(reports, onEvent) {
        losses += 1; // the server came back while the log was read
        for (const logged of events) {
          const signature = testKey(logged.event.source).sign(payloadTypes.event, logged.bytes);
          reports.onMessage({ ...logged, signature }, 0);
          onEvent(logged);
        }
        told = reports;
        await new Promise((resolve) => reports.signal.addEventListener('abort', resolve));
      },
      append: async ({ subject }) => {
        appended.push(subject);
        return { outcome: 'moved' };
      },
      holdsBlob: async () => true,
      putBlob: async () => undefined,
      serverTime: async () => new Date(0),
      hear: () => () => undefined,
      isClosed: () => false,
    },
    durables: {
      position: async () => undefined,
      nextFor: async () => undefined,
      remake: async () => undefined,
      explain: async (error) => error,
    },
    clock: {
      now: () => 0,
      wallClock: () => 0,
      runs: () => true,
      losses: () => losses,
      every: () => () => undefined,
      sleep: async () => undefined,
      stop: () => undefined,
    },
    say: () => undefined,
    failpoint: () => undefined,
  };
  const running = runCoordinator({
    ports,
    fleet: exampleFleet,
    key: testKey(coordinator),
    signal: stop.signal,
  });
  onTestFinished(async () => {
    stop.abort();
    await running;
  });
  await sleep(20);
  expect(appended).toEqual([]);
  told?.onHeld();
  await sleep(20);
  expect(appended).toHaveLength(1);
});
