import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { trustNowOf } from '../../eventlog/signing/trust.ts';
import { createRun } from '../../host/run.ts';
import { AgentConfig } from '../../schemas/config.ts';
import { printableLines } from '../../schemas/printable.ts';
import { TrustFile } from '../../schemas/trust-file.ts';
import { refusedTargets } from './pacman/repository-check.ts';

/**
 * `pacman-hook.mjs --config FILE`: what the board's pacman asks before it changes anything, alpm-hooks(5). It gets the
 * names of the packages on its standard input, one a line. If it does not end with 0, pacman installs nothing at all.
 */
const { values } = parseArgs({ options: { config: { type: 'string' } } });

try {
  if (values.config === undefined) throw new Error('usage: pacman-hook.mjs --config FILE');
  const host = readConfigFile(values.config, AgentConfig);
  if (host.role !== 'board') throw new Error(`${host.host} is a ${host.role}: only a board has this hook`);
  const lines = (file: string | number, end: string) =>
    readFileSync(file, 'utf8')
      .split(end)
      .filter((line) => line !== '');
  const refused = await refusedTargets(
    createRun(() => undefined),
    host,
    () => trustNowOf(readConfigFile(host.trustFile, TrustFile)),
    // libalpm's child becomes this program, so pacman is its parent.
    { targets: lines(0, '\n'), argv: lines(`/proc/${process.ppid}/cmdline`, '\0') },
  );
  if (refused.length > 0) throw new Error(refused.join('\n'));
} catch (error) {
  process.stderr.write(
    `${printableLines(`kernel-agent: ${error instanceof Error ? error.message : error}`)}\n`,
  );
  process.exitCode = 1;
}
