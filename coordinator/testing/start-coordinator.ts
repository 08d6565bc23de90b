import { coordinator } from '../../schemas/events.ts';
import { type LogServer, until } from '../../test/log-server.ts';
import { runCoordinator } from '../daemon/daemon.ts';
import { openLogCopy } from '../daemon/log-copy.ts';
import { natsPorts } from '../daemon/nats-ports.ts';

/** The real coordinator over a real log, once it follows it. @param copyFile where it keeps its copy. */
export const startCoordinator = async (log: LogServer, copyFile?: string) => {
  const stop = new AbortController();
  const told: string[] = [];
  const say = (text: string) => void told.push(text);
  const connection = await log.connect(coordinator);
  const running = runCoordinator({
    ports: natsPorts(connection, log.trust, say),
    fleet: log.fleet,
    key: log.key(coordinator),
    copy: openLogCopy(copyFile, say),
    signal: stop.signal,
  });
  await until(() => told.some((text) => text.startsWith('follows')));
  return {
    /** What it has said to its own log. */
    told,
    stop: async () => {
      stop.abort();
      await running;
      await connection.close();
    },
  };
};
