import { NeedsPerson, Superseded } from './errors.ts';
import type { Journal, NotedRequest } from './journal.ts';
import type { Effect } from './step.ts';

const toJson = (value: unknown): string => JSON.stringify(value ?? null);

/**
 * The effects of one attempt, over its journal. An attempt that is no longer asked for stops before its next one.
 * @throws {TypeError} from an effect whose name was already used in this run of the step.
 */
export const createEffect = (
  journal: Journal,
  request: Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>,
  signal: AbortSignal,
): Effect => {
  const used = new Set<string>();
  /** Journals a result. The step gets it as a restart would give it, so that both ways are the same. */
  const done = (name: string, result: unknown) => {
    const json = toJson(result);
    journal.noteResult(request, name, json);
    return JSON.parse(json);
  };
  return async (name, parts) => {
    if (used.has(name)) throw new TypeError(`effect "${name}" stands twice in step ${request.step}`);
    used.add(name);
    const entry = journal.effect(request, name);
    if (entry?.result != null) return JSON.parse(entry.result);
    signal.throwIfAborted();
    if (journal.isSuperseded(request.iteration, request.step, request.attempt))
      throw new Superseded(`${request.iteration} ${request.step} attempt ${request.attempt} is superseded`);

    let before: unknown;
    if (entry) {
      before = JSON.parse(entry.before);
      const probed = await parts.probe(before as never);
      if (probed.happened === 'unknown')
        throw new NeedsPerson(
          `nobody can tell whether "${name}" of ${request.step} has happened: ${probed.why}`,
        );
      if (probed.happened === 'yes') return done(name, probed.result);
    } else {
      before = parts.before ? JSON.parse(toJson(await parts.before())) : undefined;
      journal.noteIntent(request, name, toJson(before));
    }
    return done(name, await parts.act(before as never));
  };
};
