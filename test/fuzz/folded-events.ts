import fc from 'fast-check';
import { sealDecided } from '../../coordinator/daemon/seal-decided.ts';
import { decide } from '../../coordinator/decider/decide.ts';
import { evolve } from '../../coordinator/decider/evolve.ts';
import { initialState, type State } from '../../coordinator/decider/state.ts';
import { auditOf } from '../../coordinator/reading/audit.ts';
import { closeDocument } from '../../coordinator/reading/close-document.ts';
import { eventLine } from '../../coordinator/reading/event-line.ts';
import { progress, waitsFor } from '../../coordinator/reading/progress.ts';
import { historyOf, until } from '../../coordinator/testing/history.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { coordinator, parseEvent } from '../../schemas/events.ts';
import { pureTarget } from './fuzz-target.ts';
import { mutated } from './hostile.ts';

/**
 * Histories in which a writer writes odd events of types that it may write: everything that fits the schemas can be
 * folded, decided on, judged and rendered.
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
        return; // the event is refused
      }
      let state = evolve(before[at] ?? initialState, { ...logged, bytes, event });
      const look = () => {
        const [decided] = decide({ do: 'Advance' }, state);
        if (decided)
          sealDecided(decided, { fleet: 'reauktion', name: coordinator, key: testKey(coordinator) }, state);
        for (const iteration of state.iterations.values()) {
          JSON.stringify(progress(iteration));
          waitsFor(iteration, state);
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
