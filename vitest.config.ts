import { defineConfig } from 'vitest/config';
import { patienceMs } from './test/patience.ts';
import { slowestFirst } from './test/slowest-first.ts';

/** What one of these puts in the place of a module would be met by others, and would not take effect where that is loaded. */
const replaceModules = ['coordinator/reading/verify-log.test.ts', 'test/another-language.test.ts'];

/** The files that take longest. */
const slowest = [
  'test/simulation/breaks.test.ts',
  'test/demo.test.ts',
  'test/refusals.test.ts',
  'agents/board/trial-boot.test.ts',
  'agents/board/deadline/deadline.test.ts',
  'agents/runtime/keep-in-step.test.ts',
  'test/simulation/simulation.test.ts',
  'agents/board/board.test.ts',
  'agents/publisher/publish.test.ts',
  'agents/builder/build.test.ts',
  'agents/builder/land.test.ts',
  'deploy/enrol/change-host.test.ts',
  'coordinator/daemon/blobs.test.ts',
  'agents/builder/preflight.test.ts',
  'test/interrupt.test.ts',
  'test/fuzz/fuzz.test.ts',
  'coordinator/reading/verify-log.test.ts',
  'eventlog/stream/log-fault.test.ts',
  'eventlog/stream/rebuild-log.test.ts',
];

export default defineConfig({
  // Where node_modules may be written by nobody.
  cacheDir: '.ka/vitest',
  test: {
    globalSetup: ['test/own-addon.ts'],
    // More than the two cores of the smallest machine: the tests wait for programs and clocks as much as they compute.
    maxWorkers: 4,
    sequence: { sequencer: slowestFirst(slowest) },
    // No test has a shorter one of its own, so that none fails because the machine is busy.
    testTimeout: 2 * patienceMs,
    hookTimeout: 2 * patienceMs,
    projects: [
      {
        extends: true,
        test: {
          name: 'all',
          include: ['{schemas,eventlog,host,coordinator,agents,deploy,test}/**/*.test.ts'],
          // These take longer, and have configs of their own: ./ka test faults, ./ka test attacks, ./ka test lab
          exclude: ['test/{attacks,faults,lab}/**', ...replaceModules],
          // A worker's files share its modules: to import them anew for each took a sixth of the time.
          isolate: false,
        },
      },
      { extends: true, test: { name: 'isolated', include: replaceModules } },
    ],
  },
});
