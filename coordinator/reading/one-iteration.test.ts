import { headers } from 'nats';
import { expect, it, onTestFinished } from 'vitest';
import { EventLog } from '../../eventlog/stream/event-log.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { startLogServer } from '../../test/log-server.ts';
import { evolve } from '../decider/evolve.ts';
import { initialState } from '../decider/state.ts';
import { readHistory } from '../testing/recorded-history.ts';
import { waitsFor } from './progress.ts';

const fold = (events: readonly LoggedEvent[]) => events.reduce(evolve, initialState);

it.each(['revoked-key', 'restored-log', 'retried', 'board-lost', 'deadline'])(
  'a part of the log of %s shows an iteration as the whole log does, and nothing else is read for it',
  async (history) => {
    const { events, trust } = readHistory(history);
    const log = await startLogServer(trust.fleet, ['boltzmann']);
    onTestFinished(() => log.stop());
    const admin = await log.connect('admin');
    for (const { subject, bytes, signature } of events) {
      const head = headers();
      head.set('Ka-Signature', signature ?? '');
      await admin.jetstream().publish(subject, bytes, { headers: head });
    }
    const reader = new EventLog(admin, trust, { onRefused: (refused) => expect(refused).toBeUndefined() });
    const all = await reader.read();
    expect(all.events.length).toBe(events.length);
    const whole = fold(all.events);
    expect(whole.iterations.size).toBeGreaterThan(0);
    for (const [name, iteration] of whole.iterations) {
      const part = await reader.readIteration(name);
      const state = fold(part.events);
      expect(state.iterations.get(name)).toEqual(iteration);
      expect(waitsFor(iteration, state)).toBe(waitsFor(iteration, whole));
      expect(part.lastSequence).toBe(all.lastSequence);
      expect(part.events.length).toBeLessThan(events.length);
    }
    const { events: none } = await reader.readIteration('*');
    expect(none.filter(({ event }) => event.iteration !== '_')).toEqual([]);
  },
);
