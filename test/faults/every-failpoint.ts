import { stepEffects } from '../../schemas/effects.ts';
import { coordinator, stepEventType } from '../../schemas/events.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { steps as stepFacts } from '../../schemas/steps.ts';
import type { Failpoint } from './failpoints.ts';

/** The host of each step of the example, if no host has to be replaced. */
const hosts = { builder: 'boltzmann', publisher: 'hertz', board: 'fresnel' } as const;

/** A machine that reboots goes down inside the act, so its end is never reached. */
const goesDown = (effect: string, phase: string) => effect === 'reboot' && phase === 'acted';

const boundaries = ['noted', 'acked', 'outcome', 'sent'] as const;
const phases = ['intent', 'running', 'acted', 'result'] as const;

/** Every place at which the agent of a step's host may be killed during the step, from the table of effects. */
const ofStep = (step: StepName): Failpoint[] => {
  const host = hosts[stepFacts[step].role];
  const ofEffects = stepEffects[step].flatMap((effect) =>
    phases.filter((phase) => !goesDown(effect, phase)).map((phase) => `${step} ${effect} ${phase}`),
  );
  return [...boundaries.map((boundary) => `${step} ${boundary}`), ...ofEffects].map((name) => ({
    host,
    name,
  }));
};

const ofAppend = (type: string): Failpoint[] =>
  ['before', 'after'].map((when) => ({ host: coordinator, name: `${when} ${type}` }));

/** Every failpoint of these steps, and of the coordinator, which asks for them and also writes these events. */
export const failpointsOf = (steps: readonly StepName[], events: readonly string[]): Failpoint[] => [
  ...steps.flatMap(ofStep),
  ...[...steps.map((step) => stepEventType(step, 'Requested')), ...events].flatMap(ofAppend),
];

/**
 * Whether it is in the middle of an effect, while a program runs; it is not met if the effect runs none. After a kill
 * there the effect may still happen, and then its later places are not met.
 */
export const isMidway = ({ name }: Failpoint): boolean => name.endsWith(' running');
