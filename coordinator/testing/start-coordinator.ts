import { coordinator } from '../../schemas/events.ts';
import { type LogServer, until } from '../../test/log-server.ts';
import { runCoordinator } from '../daemon/daemon.ts';
import { natsPorts } from '../daemon/nats-ports.ts';
import { openLogCopy } from '../daemon/open-log-copy.ts';

/**
 * Starts the real coordinator on a real log, and returns once it follows the log.
 * @param copyFile the file of its copy.
 * @param beforeAppend called before each append.
 */
export const startCoordinator = async (
  log: LogServer,
  {
    copyFile,
    beforeAppend = async () => undefined,
  }: { copyFile?: string; beforeAppend?: () => Promise<void> } = {},
) => {
  const stop = new AbortController();
  const told: string[] = [];
  const say = (text: string) => void told.push(text);
  const connection = await log.connect(coordinator);
  const ports = natsPorts(connection, log.fleet, say);
  const append: typeof ports.log.append = async (sealed, last) => {
    await beforeAppend();
    return ports.log.append(sealed, last);
  };
  const running = runCoordinator({
    ports: { ...ports, log: { ...ports.log, append } },
    fleet: log.fleet,
    key: log.key(coordinator),
    copy: openLogCopy(copyFile, { trust: log.trust, say }),
    signal: stop.signal,
  });
  const end = async () => {
    stop.abort();
    await running.finally(() => connection.close());
  };
  await until(() => told.some((text) => text.startsWith('follows'))).catch(async (error: unknown) => {
    await end();
    throw error;
  });
  return {
    /** The lines that it has written to its own log. */
    told,
    stop: end,
  };
};
