import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { createRun } from '../../host/run.ts';
import { AgentConfig } from '../../schemas/config.ts';
import { printableLines, printableOutput } from '../../schemas/printable.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { createSystemd } from '../runtime/systemd.ts';
import { deadlineTimes, watchDeadline } from './deadline/watch-deadline.ts';
import { createWatchedBoard } from './deadline/watched-board.ts';

/**
 * `deadline-main.ts --config FILE`: the board's own deadline, a daemon beside the agent. It uses neither the log nor
 * the journal.
 */
const { values } = parseArgs({ options: { config: { type: 'string' } } });
const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());

try {
  if (values.config === undefined) throw new Error('usage: deadline-main.ts --config FILE');
  const host = readConfigFile(values.config, AgentConfig);
  if (host.role !== 'board') throw new Error(`${host.host} is a ${host.role}: only a board has a deadline`);
  mkdirSync(host.stateFolder, { recursive: true, mode: 0o700 });
  const note = (line: string) =>
    void process.stderr.write(`${host.host}'s deadline: ${printableOutput(line)}\n`);
  const systemd = createSystemd(() => true, stop.signal); // that it can answer shows that this process is not stuck
  systemd.ready('watching');
  const board = createWatchedBoard({ host, run: createRun(note, stop.signal), note });
  await watchDeadline({ board, clock: systemClock, note, signal: stop.signal, ...deadlineTimes });
  systemd.stopping();
} catch (error) {
  process.stderr.write(`${printableLines(`deadline: ${error instanceof Error ? error.message : error}`)}\n`);
  process.exitCode = 1;
}
