import type { LoggedEvent } from '../../schemas/events.ts';
import { evolve } from '../decider/evolve.ts';
import { type Iteration, initialState } from '../decider/state.ts';
import { closeDocument, closeNote } from './close-document.ts';

/** The words of a text that travels, as they follow from the iteration as it is now. */
export const wordsOf = (iteration: Iteration, { as }: { as: string }, path: string): string => {
  if (as === 'close-document') return closeDocument(iteration);
  const note = iteration.plan.close.notes.find((one) => one.kind === 'write' && one.file === path);
  return note?.kind === 'write' ? closeNote(iteration, note.text) : '';
};

/** A text that travelled in other words than this version would write of the same facts. */
export interface Reworded {
  /** The event that asked for it to be recorded. */
  sequence: number;
  file: string;
  /** The first line that differs, counted from 1, as it travelled and as this version writes it; null behind the last. */
  line: number;
  found: string | null;
  expected: string | null;
}

/** The first line in which two texts differ. */
const firstDifference = (found: string, expected: string): Pick<Reworded, 'line' | 'found' | 'expected'> => {
  const [theirs, ours] = [found.split('\n'), expected.split('\n')];
  const same = theirs.findIndex((line, index) => line !== ours[index]);
  const at = same < 0 ? theirs.length : same;
  return { line: at + 1, found: theirs[at] ?? null, expected: ours[at] ?? null };
};

/** Renders again every text that travelled in an iteration's events, each of the facts that it was made of. */
export const rewordedIn = (name: string, events: readonly LoggedEvent[]): Reworded[] => {
  let state = initialState;
  const reworded: Reworded[] = [];
  for (const logged of events) {
    const { event, sequence } = logged;
    if (event.iteration !== name) continue;
    const iteration = state.iterations.get(name);
    if (iteration && event.kind === 'step' && event.step === 'record' && event.fact === 'Requested')
      for (const { path, content } of event.data.request.files) {
        const expected = wordsOf(iteration, content, path);
        if (content.text !== expected)
          reworded.push({ sequence, file: path, ...firstDifference(content.text, expected) });
      }
    state = evolve(state, logged);
  }
  return reworded;
};
