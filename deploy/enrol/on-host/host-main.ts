import { hash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3';
import { readArmed, readFired, readReport } from '../../../agents/board/deadline/deadline.ts';
import { readJournal } from '../../../agents/runtime/journal/read-journal.ts';
import { readConfigFile } from '../../../eventlog/files/config-file.ts';
import { formatAttempt } from '../../../schemas/attempt-id.ts';
import { AgentConfig } from '../../../schemas/config.ts';
import { printableLines } from '../../../schemas/printable.ts';
import type { OpenWork } from './open-work.ts';

/**
 * Answers questions about a host on which the agent is installed: `host.mjs check`, or `host.mjs open --config FILE`.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { config: { type: 'string' } },
});

/** @throws {Error} if a file of this build is not the one that its sums name. */
const checkSums = (folder: string): void => {
  for (const line of readFileSync(join(folder, 'SHA256SUMS'), 'utf8').trimEnd().split('\n')) {
    const [sum, name = ''] = line.split('  ');
    const found = hash('sha256', readFileSync(join(folder, name)), 'hex');
    if (found !== sum)
      throw new Error(`${join(folder, name)} has the sha256 ${found}, and ${sum} was expected: enrol again`);
  }
};

/** Throws if a file of the build was changed, or better-sqlite3's addon does not fit this host's Node and libraries. */
const check = () => {
  checkSums(import.meta.dirname);
  new Database(':memory:').prepare('SELECT 1').get();
};

/** The work that this host would leave unfinished if its agent were removed. */
const openWork = async (configFile: string): Promise<OpenWork> => {
  const config = readConfigFile(configFile, AgentConfig);
  const [armed, fired, report] =
    config.role === 'board'
      ? await Promise.all([readArmed(config), readFired(config), readReport(config)])
      : [];
  const deadline = armed
    ? `the deadline of ${armed.iteration} is armed`
    : fired && report?.over !== true
      ? `the deadline of ${fired.iteration} has gone off and is not done`
      : null;
  const file = join(config.stateFolder, 'journal.db');
  if (!existsSync(file)) return { deadline, attempts: [], unsent: 0 };
  const { open, unsent } = readJournal(file);
  return { deadline, attempts: open.map(formatAttempt), unsent: unsent.length };
};

try {
  if (positionals[0] === 'check') check();
  else if (positionals[0] === 'open' && values.config !== undefined)
    process.stdout.write(`${JSON.stringify(await openWork(values.config))}\n`);
  else throw new Error('usage: host.mjs check | host.mjs open --config FILE');
} catch (error) {
  process.stderr.write(`${printableLines(error instanceof Error ? error.message : String(error))}\n`);
  process.exitCode = 1;
}
