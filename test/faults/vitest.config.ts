import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import { faultReporter } from './fault-reporter.ts';

export default defineConfig({
  root: resolve(import.meta.dirname, '../..'),
  test: {
    include: ['test/faults/**/*.test.ts'],
    reporters: ['default', faultReporter()],
    // Each file has a fleet of its own: more of them at once make the two cores of the smallest machine the fault.
    maxWorkers: 2,
    testTimeout: 180_000,
    hookTimeout: 120_000,
  },
});
