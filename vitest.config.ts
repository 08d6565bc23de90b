import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{schemas,eventlog,coordinator,agents,deploy,test}/**/*.test.ts'],
    // Two, also on a machine of two cores: the tests wait for programs more than they compute.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
