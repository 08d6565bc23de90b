import { defineConfig } from 'vitest/config';
import { SlowestFirst } from './test/slowest-first.ts';

export default defineConfig({
  // Where node_modules may be written by nobody.
  cacheDir: '.ka/vitest',
  test: {
    include: ['{schemas,eventlog,host,coordinator,agents,deploy,test}/**/*.test.ts'],
    // These take longer, and have configs of their own: ./ka test faults, ./ka test lab
    exclude: ['test/faults/**', 'test/lab/**'],
    // More than the two cores of the smallest machine: the tests wait for programs and clocks as much as they compute.
    maxWorkers: 4,
    // A worker's files share its modules: to import them anew for each would take a tenth of the time.
    isolate: false,
    sequence: { sequencer: SlowestFirst },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
