import type { LoggedEvent } from '../../schemas/events.ts';
import { evolve } from '../decider/evolve.ts';
import { type Iteration, initialState } from '../decider/state.ts';
import { closeDocument, closeNote } from './close-document.ts';

/** The text of a file to be recorded, rendered from the iteration as it is now. */
export const wordsOf = (iteration: Iteration, { as }: { as: string }, path: string): string => {
  if (as === 'close-document') return closeDocument(iteration);
  const note = iteration.plan.close.notes.find((one) => one.kind === 'write' && one.file === path);
  return note?.kind === 'write' ? closeNote(iteration, note.text) : '';
};

/** The first line in which a text differs from what this version renders from the same facts. */
export interface Wording {
  file: string;
  /** Counted from 1. */
  line: number;
  /** The line as it was found, and as this version renders it; null after the last line of a text. */
  found: string | null;
  expected: string | null;
}

/** A recorded text that differs from what this version renders from the same facts. */
export interface Reworded extends Wording {
  /** The event that requested the record. */
  sequence: number;
}

/** The first line in which two texts differ. */
export const firstDifference = (found: string, expected: string): Omit<Wording, 'file'> => {
  const [theirs, ours] = [found.split('\n'), expected.split('\n')];
  const same = theirs.findIndex((line, index) => line !== ours[index]);
  const at = same < 0 ? theirs.length : same;
  return { line: at + 1, found: theirs[at] ?? null, expected: ours[at] ?? null };
};

const quoted = (line: string | null): string => (line === null ? 'not there' : `"${line}"`);

/** A difference in wording, in English. @param holder what holds the text. */
export const wordingNote = (holder: string, { file, line, found, expected }: Wording): string =>
  `${holder} has ${file} with another text than this version renders from the same facts; line ${line} is ${quoted(found)} and would be ${quoted(expected)}`;

/**
 * Renders again every text in an iteration's record requests, each from the facts that it was made from.
 * @returns those that differ.
 */
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
