import { type StepName, stepNames } from './step-names.ts';

/** Which try of which step of which iteration. A step's attempts are numbered from 1. */
export interface AttemptId {
  iteration: string;
  step: StepName;
  attempt: number;
}

/** `iter5 build 1`: how presences, logs and people spell an attempt. */
export const formatAttempt = ({
  iteration,
  step,
  attempt,
}: Omit<AttemptId, 'step'> & { step: string }): string => `${iteration} ${step} ${attempt}`;

/** `iter5 build 1 boltzmann`: an attempt and the host that is asked; another host may have been asked before. */
export const formatAttemptOn = (attempt: AttemptId, host: string): string =>
  `${formatAttempt(attempt)} ${host}`;

/** Reads what {@link formatAttempt} wrote; undefined if it is not an attempt of a step that this version knows. */
export const parseAttempt = (text: string): AttemptId | undefined => {
  const [, iteration, name, number] = /^(\S+) (\S+) ([1-9]\d{0,14})$/.exec(text) ?? [];
  const step = stepNames.find((known) => known === name);
  return iteration === undefined || step === undefined
    ? undefined
    : { iteration, step, attempt: Number(number) };
};

export const isSameAttempt = (a: AttemptId, b: AttemptId): boolean =>
  a.iteration === b.iteration && a.step === b.step && a.attempt === b.attempt;
