import type { NewEvent } from '../../schemas/events.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import type { State } from '../decider/state.ts';
import { wordsOf } from '../reading/rendered-words.ts';

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
