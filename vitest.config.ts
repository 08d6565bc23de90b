import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{schemas,eventlog,coordinator,agents,deploy,test}/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
