import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Returns a sequencer that starts these files first, in this order, so that a run does not end with waiting for one of
 * them. Vitest orders the rest by its last run.
 * @param slowest their paths.
 */
export const slowestFirst = (slowest: readonly string[]) =>
  class SlowestFirst extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
      const place = ({ moduleId }: TestSpecification) => {
        const at = slowest.findIndex((name) => moduleId.endsWith(`/${name}`));
        return at === -1 ? slowest.length : at;
      };
      return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
    }
  };
