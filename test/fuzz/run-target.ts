import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { printable } from '../../schemas/printable.ts';
import type { FuzzResult, FuzzTarget } from './fuzz-target.ts';
import { watchEffects } from './no-effects.ts';

/** How many letters of an input are shown. */
const shownLetters = 4000;

/** Throws if an input left a trace in the prototypes that all objects share. */
const checkPrototypes = (): void => {
  const left = [Object.prototype, Array.prototype, Function.prototype].flatMap((shared) =>
    Object.keys(shared),
  );
  if (left.length > 0) throw new Error(`the prototypes that all objects share now have ${left.join(', ')}`);
};

const shown = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);

/**
 * Runs a target on inputs that follow from the seed, up to the first that breaks its property.
 * @param onCase called before each input.
 */
export const runTarget = async (
  target: FuzzTarget,
  { seed, cases }: { seed: number; cases: number },
  onCase: () => void = () => undefined,
): Promise<FuzzResult> => {
  const folder = mkdtempSync(join(tmpdir(), 'ka-fuzz-'));
  const startedAt = performance.now();
  try {
    const property = await target.property(folder);
    const effects = target.programs ? undefined : watchEffects(folder);
    const look = () => {
      const taken = effects?.taken() ?? [];
      if (taken.length > 0) throw new Error(`it tried: ${taken.join(', ')}`);
      checkPrototypes();
    };
    try {
      const details = await fc.check(withChecks(property, onCase, look), { seed, numRuns: cases });
      return {
        cases: details.numRuns,
        seconds: (performance.now() - startedAt) / 1000,
        ...(details.failed
          ? {
              broken: {
                input: printable(fc.stringify(details.counterexample)).slice(0, shownLetters),
                how: shown(details.errorInstance),
              },
            }
          : {}),
      };
    } finally {
      effects?.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

const withChecks = (
  property: fc.IRawProperty<unknown>,
  before: () => void,
  after: () => void,
): fc.IRawProperty<unknown> => {
  const failure = (error: unknown) => ({ error, errorMessage: String(error) });
  const looked = (result: unknown) => {
    if (result !== null) return result;
    try {
      after();
      return null;
    } catch (error) {
      return failure(error);
    }
  };
  const run = property.run.bind(property);
  return Object.assign(Object.create(property) as fc.IRawProperty<unknown>, {
    run: (value: unknown) => {
      before();
      const result = run(value);
      return result instanceof Promise ? result.then(looked) : looked(result);
    },
  });
};

/** The input with that number, from 0, of a run: to show one that never ended. */
export const inputOf = async (
  target: FuzzTarget,
  { seed, number }: { seed: number; number: number },
): Promise<string> => {
  const folder = mkdtempSync(join(tmpdir(), 'ka-fuzz-'));
  try {
    const property = await target.property(folder);
    const inputs = fc.sample(property as unknown as fc.Arbitrary<unknown>, { seed, numRuns: number + 1 });
    return printable(fc.stringify(inputs.at(-1))).slice(0, shownLetters);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
