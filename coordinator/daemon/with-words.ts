import type { NewEvent } from '../../schemas/events.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import type { Iteration, State } from '../decider/state.ts';
import { closeDocument, closeNote } from '../reading/close-document.ts';

/** The words of a text that travels, as they follow from the iteration as it is now. */
export const wordsOf = (iteration: Iteration, { as }: { as: string }, path: string): string => {
  if (as === 'close-document') return closeDocument(iteration);
  const note = iteration.plan.close.notes.find((one) => one.kind === 'write' && one.file === path);
  return note?.kind === 'write' ? closeNote(iteration, note.text) : '';
};

/** The event as it is to be sealed: what was decided without words gets them. */
export const withWords = (event: NewEvent, { iterations }: State): NewEvent => {
  const iteration = iterations.get(event.iteration);
  if (event.type !== 'RecordRequested' || !iteration) return event;
  const data = event.data as { host: string; request: StepRequest<'record'> };
  const files = data.request.files.map(({ path, content }) => ({
    path,
    content: { ...content, text: wordsOf(iteration, content, path) },
  }));
  return { ...event, data: { ...data, request: { ...data.request, files } } };
};
