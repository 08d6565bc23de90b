import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import { patienceMs } from '../patience.ts';
import { slowestFirst } from '../slowest-first.ts';
import { tableReporter } from '../tables/table-reporter.ts';
import { faults } from './fault-table.ts';

/** Those that take more than a minute and a half, and the one that mostly waits. */
const slowest = [
  'log-down',
  'board-boots',
  'killed-anywhere',
  'killed-on-board',
  'simulation',
  'killed-in-rollback',
  'build-builder-lost',
  'killed-midway',
  'board-clock',
  'publish-killed',
  'board-pacman-killed',
].map((name) => `test/faults/${name}.test.ts`);

export default defineConfig({
  root: resolve(import.meta.dirname, '../..'),
  test: {
    include: ['test/faults/**/*.test.ts'],
    reporters: ['default', tableReporter(faults)],
    // Each file has its own fleet. More than the two cores of the smallest machine: a fleet waits as much as it computes.
    maxWorkers: 4,
    // A worker's files share its modules: to import them again for each costs a second.
    isolate: false,
    sequence: { sequencer: slowestFirst(slowest) },
    testTimeout: 4 * patienceMs,
    hookTimeout: 2 * patienceMs,
  },
});
