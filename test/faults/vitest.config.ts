import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import { faultReporter } from './fault-reporter.ts';

export default defineConfig({
  root: resolve(import.meta.dirname, '../..'),
  test: {
    include: ['test/faults/**/*.test.ts'],
    reporters: ['default', faultReporter()],
    // Each file has a fleet of its own. Three of them at once are enough for the two cores of the smallest machine: one of
    // them waits ten minutes for a nats-server that is down.
    maxWorkers: 3,
    testTimeout: 180_000,
    hookTimeout: 120_000,
  },
});
