import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runKeeper } from '../deploy/keeper/keeper.ts';
import { KeeperConfig } from '../schemas/config.ts';
import { type LogServer, until } from './log-server.ts';

/** Starts the real keeper of a log whose fleet's file names one. */
export const startKeeper = async (log: LogServer) => {
  const at = (file: string) => join(log.folder, 'nats', file);
  const config = KeeperConfig.parse({
    fleetFile: log.fleetFile,
    nats: { servers: [log.server.url] },
    keyFile: log.keyFile('keeper'),
    silencedFile: at('silenced.json'),
    server: {
      configFile: at('nats-server.conf'),
      runningFile: at('nats-running.conf'),
      pidFile: at('nats-server.pid'),
    },
  });
  const configFile = join(log.folder, 'keeper.yaml');
  writeFileSync(configFile, JSON.stringify(config));
  const stop = new AbortController();
  const said: string[] = [];
  const keeping = runKeeper(config, (text) => void said.push(text), stop.signal);
  const end = async () => {
    stop.abort();
    await keeping;
  };
  await until(() => said.some((text) => text.startsWith('watches'))).catch(async (error: unknown) => {
    await end();
    throw error;
  });
  return {
    configFile,
    silencedFile: config.silencedFile,
    /** The lines that it has written to its own log. */
    said,
    stop: end,
  };
};
