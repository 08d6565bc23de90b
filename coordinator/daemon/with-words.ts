import type { NewEvent } from '../../schemas/events.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import type { State } from '../decider/state.ts';
import { wordsOf } from '../reading/rendered-words.ts';

/**
 * The event as it will be sealed: the files of a record request, which are decided without text, get their text here.
 */
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
