import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import { tableReporter } from '../tables/table-reporter.ts';
import { attacks } from './attack-table.ts';

export default defineConfig({
  root: resolve(import.meta.dirname, '../..'),
  test: {
    globalSetup: ['test/own-addon.ts'],
    include: ['test/attacks/**/*.test.ts'],
    reporters: ['default', tableReporter(attacks)],
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
