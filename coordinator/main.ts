import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { connectNats } from '../eventlog/connection/connect.ts';
import { readConfigFile } from '../eventlog/files/config-file.ts';
import { createSayOnce } from '../eventlog/say-once.ts';
import { readDaemonKey } from '../eventlog/signing/daemon-key.ts';
import { trustIn } from '../eventlog/signing/trust.ts';
import { CoordinatorConfig } from '../schemas/config.ts';
import { coordinator } from '../schemas/events.ts';
import { Fleet } from '../schemas/fleet.ts';
import { printableLines } from '../schemas/printable.ts';
import { runCoordinator } from './daemon/daemon.ts';
import { natsPorts } from './daemon/nats-ports.ts';
import { openLogCopy } from './daemon/open-log-copy.ts';

const { values } = parseArgs({ options: { config: { type: 'string' } } });
const say = (text: string) => void process.stderr.write(`${printableLines(`coordinator: ${text}`)}\n`);
const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());

try {
  if (values.config === undefined) throw new Error('usage: main.ts --config FILE');
  const config = readConfigFile(values.config, CoordinatorConfig);
  const fleet = readConfigFile(config.fleetFile, Fleet);
  const ownKey = readDaemonKey(
    { ...config, pinnedIn: config.fleetFile, writer: coordinator, trust: trustIn(fleet) },
    say,
  );
  const connecting = createSayOnce(say);
  const connection = await connectNats({
    ...config.nats,
    keyFile: config.keyFile,
    name: coordinator,
    wait: true,
    onTrouble: (sentence) => connecting.trouble(sentence),
    signal: stop.signal,
  });
  await runCoordinator({
    ports: natsPorts(connection, fleet, say),
    fleet,
    ...ownKey,
    copy: openLogCopy(config.stateFolder && join(config.stateFolder, 'log.db'), {
      trust: trustIn(fleet),
      say,
    }),
    signal: stop.signal,
  });
  await connection.close();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
