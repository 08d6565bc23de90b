import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import { tableReporter } from '../tables/table-reporter.ts';
import { labFaults } from './lab-table.ts';

/** All tests share one lab and run one after the other, with long limits, since the board is emulated. */
export default defineConfig({
  root: resolve(import.meta.dirname, '../..'),
  test: {
    include: ['test/lab/**/*.test.ts'],
    reporters: ['default', tableReporter(labFaults)],
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 45 * 60_000,
    hookTimeout: 40 * 60_000,
  },
});
