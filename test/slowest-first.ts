import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The files that take longest, the longest first. */
const slowest = [
  'test/refusals.test.ts',
  'test/demo.test.ts',
  'agents/board/trial-boot.test.ts',
  'agents/board/deadline/deadline.test.ts',
  'agents/runtime/keep-in-step.test.ts',
  'agents/board/board.test.ts',
  'agents/publisher/publish.test.ts',
  'agents/builder/build.test.ts',
  'coordinator/reading/verify-log.test.ts',
  'eventlog/stream/log-fault.test.ts',
  'eventlog/stream/rebuild-log.test.ts',
];

/**
 * Starts slow files first, so that the run does not end with waiting for one of them. Vitest orders the rest by its
 * last run.
 */
export class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const at = slowest.findIndex((name) => moduleId.endsWith(`/${name}`));
      return at === -1 ? slowest.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}
