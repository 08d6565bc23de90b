import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{schemas,eventlog,host,coordinator,agents,deploy,test}/**/*.test.ts'],
    // The fault suites take longer, and have configs of their own: ./ka test faults, ./ka test lab
    exclude: ['test/faults/**', 'test/lab/**'],
    // More than the two cores of the smallest machine: the tests wait for programs as much as they compute.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
