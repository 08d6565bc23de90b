import fc from 'fast-check';
import { auditOf } from '../../coordinator/audit.ts';
import { closeDocument } from '../../coordinator/close-document.ts';
import { decide } from '../../coordinator/decide.ts';
import { eventLine } from '../../coordinator/event-line.ts';
import { evolve } from '../../coordinator/evolve.ts';
import { progress, waitsFor } from '../../coordinator/progress.ts';
import { sealDecided } from '../../coordinator/seal-decided.ts';
import { initialState, type State } from '../../coordinator/state.ts';
import { historyOf, until } from '../../coordinator/testing/history.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import type { LoggedEvent } from '../../eventlog/check-event.ts';
import { coordinator, parseEvent } from '../../schemas/events.ts';
import { pureTarget } from './fuzz-target.ts';
import { mutated } from './hostile.ts';

/**
 * Histories in which a writer says something odd about what it may speak of: whatever fits the schemas can be folded,
 * decided on, judged and told.
 */
export const foldedEvents = pureTarget('histories', 80, () => {
  const { events } = historyOf(...until('close'));
  const before: State[] = [initialState];
  for (const logged of events) before.push(evolve(before.at(-1) ?? initialState, logged));
  const input = fc.nat(events.length - 1).chain((at) => {
    const { event } = events[at] as LoggedEvent;
    return fc.record({ at: fc.constant(at), data: mutated(event.data, 3) });
  });
  return {
    input,
    hold: ({ at, data }) => {
      const logged = events[at] as LoggedEvent;
      const {
        kind: _kind,
        step: _step,
        fact: _fact,
        ...envelope
      } = logged.event as LoggedEvent['event'] & { step?: string; fact?: string };
      const bytes = new TextEncoder().encode(JSON.stringify({ ...envelope, data }));
      let event: LoggedEvent['event'];
      try {
        event = parseEvent(bytes);
      } catch {
        return; // it is refused
      }
      let state = evolve(before[at] ?? initialState, { ...logged, bytes, event });
      const look = () => {
        const [decided] = decide({ do: 'Advance' }, state);
        if (decided)
          sealDecided(decided, { fleet: 'reauktion', name: coordinator, key: testKey(coordinator) }, state);
        for (const iteration of state.iterations.values()) {
          JSON.stringify(progress(iteration));
          waitsFor(iteration);
          auditOf(iteration, events);
          closeDocument(iteration);
        }
        eventLine(event);
      };
      look();
      for (const next of events.slice(at + 1)) state = evolve(state, next);
      look();
    },
  };
});
