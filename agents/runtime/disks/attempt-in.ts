import { IterationName } from '../../../schemas/names.ts';

/** The iteration of a name that an attempt's key is, `<iteration>.<attempt>`; undefined if it is none. */
export const attemptIn = (name: string): { iteration: string; attempt: number } | undefined => {
  const [, iteration, attempt] = /^([^.]+)\.([1-9]\d{0,14})$/.exec(name) ?? [];
  return IterationName.safeParse(iteration).success && iteration !== undefined
    ? { iteration, attempt: Number(attempt) }
    : undefined;
};
