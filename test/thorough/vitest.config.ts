import { resolve } from 'node:path';
import { defineConfig, mergeConfig } from 'vitest/config';
import quick from '../../vitest.config.ts';

export default mergeConfig(
  quick,
  defineConfig({
    root: resolve(import.meta.dirname, '../..'),
    test: { env: { KA_TEST_THOROUGH: 'yes' } },
  }),
);
