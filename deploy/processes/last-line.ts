import { readFileSync } from 'node:fs';

/** The last line of a log that is neither blank nor Node's version; empty if there is none. */
export const lastLine = (logFile: string): string => {
  try {
    const lines = readFileSync(logFile, 'utf8').trim().split('\n');
    return lines.findLast((line) => line.trim() !== '' && !line.startsWith('Node.js v')) ?? '';
  } catch {
    return '';
  }
};
