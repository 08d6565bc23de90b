import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{schemas,eventlog,coordinator,agents,deploy,test}/**/*.test.ts'],
    // The fault suite takes twenty minutes and has its own config: ./ka test faults
    exclude: ['test/faults/**'],
    // More than the two cores of the smallest machine: the tests wait for programs as much as they compute.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
