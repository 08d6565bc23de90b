import type { AttemptId } from '../../schemas/attempt-id.ts';
import type { EffectName } from '../../schemas/effects.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { NeedsPerson, Superseded } from './errors.ts';
import type { Effects } from './journal/effects.ts';
import type { Requests } from './journal/requests.ts';
import type { Effect } from './step.ts';

/** The parts of a journal that effects need. */
export interface EffectJournal {
  effects: Pick<Effects, 'of' | 'noteIntent' | 'noteResult'>;
  requests: Pick<Requests, 'isSuperseded'>;
}

const toJson = (value: unknown): string => JSON.stringify(value ?? null);

/** The phase of an effect: its intent is journalled; it acts; it has acted or failed; its result is journalled. */
export type EffectPhase = 'intent' | 'acting' | 'acted' | 'failed' | 'result';

/** Called when an effect enters a phase. `name` is the declared name, without what follows it. */
export type WatchEffects = (name: EffectName, phase: EffectPhase) => void;

/**
 * Makes the effects of one attempt, over its journal. A superseded attempt stops before its next effect.
 * @throws {TypeError} from an effect whose name was already used in this run of the step.
 */
export const createEffect = <Name extends StepName>(
  journal: EffectJournal,
  request: AttemptId & { step: Name },
  signal: AbortSignal,
  watch: WatchEffects = () => undefined,
): Effect<EffectName<Name>> => {
  const used = new Set<string>();
  return async (name, parts) => {
    const declared = name.split(' ', 1)[0] as EffectName<Name>;
    /**
     * Journals a result. The step gets it in the form in which a restart would return it, so that both ways are the
     * same.
     */
    const done = (result: unknown) => {
      const json = toJson(result);
      journal.effects.noteResult(request, name, json);
      watch(declared, 'result');
      return JSON.parse(json);
    };
    const stopIfSuperseded = () => {
      signal.throwIfAborted();
      if (journal.requests.isSuperseded(request))
        throw new Superseded(`${request.iteration} ${request.step} attempt ${request.attempt} is superseded`);
    };
    if (used.has(name)) throw new TypeError(`effect "${name}" occurs twice in step ${request.step}`);
    used.add(name);
    const entry = journal.effects.of(request, name);
    if (entry?.result != null) return JSON.parse(entry.result);
    stopIfSuperseded();

    let before: unknown;
    if (entry) {
      before = JSON.parse(entry.before);
      const probed = await parts.probe(before as never);
      if (probed.happened === 'unknown')
        throw new NeedsPerson(
          `nobody can tell whether "${name}" of ${request.step} has happened: ${probed.why}`,
        );
      if (probed.happened === 'yes') return done(probed.result);
      stopIfSuperseded(); // the probe may have taken long
    } else {
      before = parts.before ? JSON.parse(toJson(await parts.before())) : undefined;
      stopIfSuperseded();
      journal.effects.noteIntent(request, name, toJson(before));
      watch(declared, 'intent');
    }
    watch(declared, 'acting');
    let result: unknown;
    try {
      result = await parts.act(before as never);
    } catch (error) {
      watch(declared, 'failed');
      throw error;
    }
    watch(declared, 'acted');
    return done(result);
  };
};

/**
 * For callers without a journal: every run asks the probe first, so that a second run goes on where the first was cut.
 */
export const withoutJournal: Effect = async (_name, { before, probe, act }) => {
  const known = before === undefined ? undefined : await before();
  const probed = await probe(known as never);
  return probed.happened === 'yes' ? probed.result : act(known as never);
};
