import { parseArgs } from 'node:util';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { KeeperConfig } from '../../schemas/config.ts';
import { printableLines } from '../../schemas/printable.ts';
import { runKeeper } from './keeper.ts';

const { values } = parseArgs({ options: { config: { type: 'string' } } });
const say = (text: string) => void process.stderr.write(`${printableLines(`keeper: ${text}`)}\n`);
const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());

try {
  if (values.config === undefined) throw new Error('usage: keeper-main.ts --config FILE');
  await runKeeper(readConfigFile(values.config, KeeperConfig), say, stop.signal);
} catch (error) {
  if (!stop.signal.aborted) {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
