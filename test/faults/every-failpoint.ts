import { stepEffects } from '../../schemas/effects.ts';
import { coordinator, stepEventType } from '../../schemas/events.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { steps as stepFacts } from '../../schemas/steps.ts';
import type { Failpoint } from './failpoints.ts';

/** Where each step of the example runs, when nobody has to be replaced. */
const hosts = { builder: 'boltzmann', publisher: 'hertz', board: 'fresnel' } as const;

/** A machine that reboots goes down inside the act: nobody is left to come to its end. */
const goesDown = (effect: string, phase: string) => effect === 'reboot' && phase === 'acted';

const boundaries = ['noted', 'acked', 'outcome', 'sent'] as const;
const phases = ['intent', 'running', 'acted', 'result'] as const;

/** Every place where the agent of a step's host may be killed on account of it, from the table of effects. */
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

/** Every failpoint of these steps, and of the coordinator that asks for them and writes these events besides. */
export const failpointsOf = (steps: readonly StepName[], events: readonly string[]): Failpoint[] => [
  ...steps.flatMap(ofStep),
  ...[...steps.map((step) => stepEventType(step, 'Requested')), ...events].flatMap(ofAppend),
];

/**
 * In the middle of an effect, where it runs a program: nobody comes by where it runs none. A kill there may let the effect
 * happen all the same, and then a later place of it is not met.
 */
export const isMidway = ({ name }: Failpoint): boolean => name.endsWith(' running');
