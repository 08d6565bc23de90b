import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { tableReporter } from '../tables/table-reporter.ts';
import { faults } from './fault-table.ts';
import { patienceMs } from './patience.ts';

/**
 * Starts the test with a nats-server that is down for ten minutes first, since it takes ten minutes whatever else runs.
 */
class WaitingFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const waits = ({ moduleId }: TestSpecification) => Number(moduleId.endsWith('log-down.test.ts'));
    return (await super.sort(files)).toSorted((a, b) => waits(b) - waits(a));
  }
}

export default defineConfig({
  root: resolve(import.meta.dirname, '../..'),
  test: {
    include: ['test/faults/**/*.test.ts'],
    reporters: ['default', tableReporter(faults)],
    // Each file has its own fleet. Three at once are enough for the two cores of the smallest machine: one of them
    // waits ten minutes for a nats-server that is down.
    maxWorkers: 3,
    sequence: { sequencer: WaitingFirst },
    testTimeout: 4 * patienceMs,
    hookTimeout: 2 * patienceMs,
  },
});
