import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    runFolder: string;
  }
}

/** Vitest's global setup: a folder that is there for one run of the tests, whichever files it runs, and goes with it. */
export const setup = (project: TestProject): (() => void) => {
  const folder = mkdtempSync(join(tmpdir(), 'test-run-'));
  chmodSync(folder, 0o755); // makepkg works in it as another user
  project.provide('runFolder', folder);
  return () => rmSync(folder, { recursive: true, force: true });
};
