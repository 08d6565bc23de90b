import { setTimeout as sleep } from 'node:timers/promises';
import { connectNats } from '../../eventlog/connection/connect.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { lastPresences } from '../../eventlog/live/presence.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { provision } from '../../eventlog/stream/provision.ts';
import { personWriter } from '../../schemas/events.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { hostNames, peopleNames, type SandboxHost, type SandboxPlaces } from '../places/sandbox-places.ts';

const lookEveryMs = 50;

const withConnection = async <Result>(
  places: SandboxPlaces,
  { url, name }: { url: string; name: 'admin' | (typeof peopleNames)[number] },
  action: (connection: Awaited<ReturnType<typeof connectNats>>) => Promise<Result>,
): Promise<Result> => {
  const connection = await connectNats({
    ...{ servers: [url], keyFile: places.keyFile(name) },
    name: name === 'admin' ? name : personWriter(name),
  });
  try {
    return await action(connection);
  } finally {
    await connection.close();
  }
};

/** Makes the fleet's streams and each host's durable, if they do not exist yet. */
export const provisionLog = (places: SandboxPlaces, url: string): Promise<void> =>
  withConnection(places, { url, name: 'admin' }, (admin) => {
    const { fleet, log } = readConfigFile(places.fleetFile, Fleet);
    return provision(admin, fleet, hostNames, log);
  });

/**
 * Waits until every host that is up has sent a presence after `since`.
 * @param fault returns the reason if waiting is useless.
 * @throws {Error} with that reason, or after `withinMs`.
 */
export const waitForHosts = (
  places: SandboxPlaces,
  url: string,
  {
    trust,
    withinMs,
    since,
    isUp,
    fault,
    signal,
  }: {
    trust: Trust;
    withinMs: number;
    since: number;
    isUp: (host: SandboxHost) => boolean;
    fault: () => string | undefined;
    signal: AbortSignal;
  },
): Promise<void> =>
  withConnection(places, { url, name: peopleNames[0] }, async (operator) => {
    const until = Date.now() + withinMs;
    while (!signal.aborted) {
      const { seen } = await lastPresences(operator, trust, hostNames);
      // By the server's clock, which is this machine's: the board's own may be wrong.
      const heard = (host: SandboxHost) => Date.parse(seen.get(host)?.storedAt ?? '') > since;
      const silent = hostNames.filter((host) => isUp(host) && !heard(host));
      if (silent.length === 0) return;
      const why = fault();
      if (why !== undefined) throw new Error(why);
      if (Date.now() > until)
        throw new Error(
          `nothing was heard of ${silent.join(', ')} within ${withinMs / 1000} s; see ${silent.map(places.log).join(', ')}`,
        );
      await sleep(lookEveryMs);
    }
  });
