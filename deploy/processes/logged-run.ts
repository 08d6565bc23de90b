import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { createRun, type Run } from '../../host/run.ts';

/** A {@link Run} whose output goes to a log file. */
export const createLoggedRun = (logFile: string): Run => {
  mkdirSync(dirname(logFile), { recursive: true });
  return createRun((line) => appendFileSync(logFile, `${line}\n`));
};
