import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { readConfigFile } from '../eventlog/files/config-file.ts';
import packageJson from '../package.json' with { type: 'json' };
import { AgentConfig } from '../schemas/config.ts';
import { printableLines } from '../schemas/printable.ts';
import { runAgent } from './runtime/agent.ts';
import { ReplacedAgent, staysDownCode } from './runtime/errors.ts';

/** An installed agent is one file in the folder of its build, which has the build's name. */
const { dirname, filename } = import.meta;
const build = basename(filename) === 'agent.mjs' ? { build: basename(dirname) } : {};
const version = { version: packageJson.version, ...build };

const { values } = parseArgs({ options: { config: { type: 'string' } } });
const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());

try {
  if (values.config === undefined) throw new Error('usage: main.ts --config FILE');
  const config = readConfigFile(values.config, AgentConfig);
  // Only the host's own role is loaded: a board never has the builder's code in its process.
  switch (config.role) {
    case 'builder':
      await runAgent(config, (await import('./builder/builder.ts')).builder, version, stop.signal);
      break;
    case 'publisher':
      await runAgent(config, (await import('./publisher/publisher.ts')).publisher, version, stop.signal);
      break;
    case 'board':
      await runAgent(config, (await import('./board/board.ts')).board, version, stop.signal);
      break;
  }
} catch (error) {
  process.stderr.write(`${printableLines(`agent: ${error instanceof Error ? error.message : error}`)}\n`);
  process.exitCode = error instanceof ReplacedAgent ? staysDownCode : 1;
}
