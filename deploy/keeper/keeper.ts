import { existsSync, readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectNats, type LogConnection } from '../../eventlog/connection/connect.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { keeper, keepingEveryMs, type Silenced, sayKeeping } from '../../eventlog/live/keeping.ts';
import { createSayOnce } from '../../eventlog/say-once.ts';
import { readKeyFile } from '../../eventlog/signing/key-file.ts';
import { followSizes, logIdentity } from '../../eventlog/stream/message-sizes.ts';
import { blobStream, eventStream, outputStream } from '../../eventlog/stream/provision.ts';
import type { KeeperConfig } from '../../schemas/config.ts';
import { coordinator } from '../../schemas/events.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { fleetLogins } from '../nats-config.ts';
import { createMeter } from './meter.ts';
import { withoutRights } from './running-config.ts';
import { readSilenced, writeSilenced, writeWhole } from './silenced-file.ts';

const lookEveryMs = 1_000;
const lookAtLogEveryMs = 4_000;
const againAfterMs = 2_000;
/** After a restore, the administrator puts back what all writers had written. */
const afterRestoreMs = 5 * 60_000;

/** Whether a file has changed since it was last asked. */
const createChanges = () => {
  const seen = new Map<string, string>();
  return (files: readonly string[]): boolean => {
    let hasChanged = false;
    for (const file of files) {
      const { mtimeMs = 0, ino = 0 } = existsSync(file) ? statSync(file) : {};
      const now = `${mtimeMs} ${ino}`;
      hasChanged ||= seen.get(file) !== now;
      seen.set(file, now);
    }
    return hasChanged;
  };
};

/** Gives nats-server the config that follows from who is silenced. */
const createServerConfig = (
  { fleetFile, server, silencedFile }: KeeperConfig,
  say: (text: string) => void,
) => {
  const changed = createChanges();
  const { configFile, runningFile, pidFile } = server;
  const files = [configFile, runningFile, pidFile, silencedFile];
  const reading = createSayOnce(say);
  /** Whether the server has not been told yet. */
  let isOwed = false;
  const apply = () => {
    const logins = fleetLogins(readConfigFile(fleetFile, Fleet));
    const silenced = readSilenced(silencedFile).map(({ writer }) => writer);
    const wanted = withoutRights(readFileSync(configFile, 'utf8'), logins, silenced);
    const isThere = existsSync(runningFile) && readFileSync(runningFile, 'utf8') === wanted;
    // A server that does not run reads the config when it starts, and the keeper looks again then.
    if ((isThere && !isOwed) || !existsSync(pidFile)) return;
    isOwed = true;
    writeWhole(runningFile, wanted);
    process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGHUP');
    isOwed = false;
  };
  return {
    /** Looks whether the server's config is as it should be. It is looked at again if that fails. */
    look(): void {
      if (!changed(files) && !isOwed) return;
      try {
        apply();
        reading.over();
      } catch (error) {
        isOwed = true;
        reading.trouble(error, 'the rights at nats-server can not be changed: ');
      }
    },
  };
};

/** Who is silenced, and the file that says so beyond this process. */
const createSilence = (config: KeeperConfig, say: (text: string) => void) => {
  const serverConfig = createServerConfig(config, say);
  let silenced = readSilenced(config.silencedFile);
  return {
    now: (): readonly Silenced[] => silenced,
    isSilenced: (writer: string) => silenced.some((one) => one.writer === writer),
    add(writer: string, why: string): void {
      silenced = [...silenced, { writer, since: new Date().toISOString(), why }];
      writeSilenced(config.silencedFile, silenced);
      serverConfig.look();
      say(
        `ALARM: ${writer} has added ${why} to the log, and may not publish any more; next: find out why, then: ka fleet readmit ${writer}`,
      );
    },
    /** @returns the writers that a person has given their right back. */
    look(): string[] {
      const before = silenced;
      silenced = readSilenced(config.silencedFile);
      serverConfig.look();
      return before
        .filter(({ writer }) => !silenced.some((one) => one.writer === writer))
        .map(({ writer }) => writer);
    },
  };
};

/** Notices a log that is being restored: what comes then is not of the writers that its subjects name. */
const createRestoreWatch = () => {
  let identity: string | undefined;
  let quietUntil = 0;
  const now = () => performance.now();
  const watch = {
    isQuiet: () => now() < quietUntil,
    begin: () => {
      quietUntil = now() + afterRestoreMs;
    },
    /** @returns whether a restore goes on, or was just over. */
    async look(connection: LogConnection): Promise<boolean> {
      const found = await logIdentity(connection);
      if (found === undefined || (identity !== undefined && identity !== found)) watch.begin();
      identity = found ?? identity;
      return watch.isQuiet();
    },
  };
  return watch;
};

/** The keeper's key. @throws {Error} if the fleet's file pins another one. */
const ownKey = ({ keyFile, fleetFile }: KeeperConfig, { keeper: pinned }: Fleet) => {
  const key = readKeyFile(keyFile);
  if (pinned?.publicKey === key.publicKey) return key;
  throw new Error(
    `the key ${keyFile} is ${key.publicKey}, and ${fleetFile} pins ${pinned?.publicKey ?? 'none'} as keeper.publicKey`,
  );
};

/** Reports what is added to the streams, until `signal` fires or the connection is closed. It waits for what is not there. */
const watchStreams = async (
  connection: LogConnection,
  seen: Pick<Parameters<typeof followSizes>[2], 'onMessage' | 'onAnew'>,
  { say, signal }: { say: (text: string) => void; signal: AbortSignal },
): Promise<void> => {
  const follow = async (stream: string) => {
    const following = createSayOnce(say);
    while (!signal.aborted && !connection.isClosed())
      try {
        await followSizes(connection, stream, { ...seen, signal });
        following.over();
      } catch (error) {
        following.trouble(error, `${stream} can not be watched: `);
        await sleep(againAfterMs, undefined, { signal }).catch(() => undefined);
      }
  };
  await Promise.all([eventStream, blobStream, outputStream].map(follow));
};

/**
 * Watches what each writer adds to the streams, and takes the right to publish from one that is over its quota, until
 * `signal` fires. It gives the right back when a person has taken the writer out of the file of silenced writers.
 */
export const runKeeper = async (
  config: KeeperConfig,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<void> => {
  const known = readConfigFile(config.fleetFile, Fleet);
  const key = ownKey(config, known);
  const { fleet, log, hosts } = known;
  const writers = new Set(fleetLogins(known).writers.map(({ writer }) => writer));
  const meter = createMeter(log.quota, () => performance.now());
  const silence = createSilence(config, say);
  const restore = createRestoreWatch();
  silence.look();
  const connecting = createSayOnce(say);
  const connection = await connectNats({
    ...{ ...config.nats, keyFile: config.keyFile, name: keeper, wait: true, signal },
    onTrouble: (sentence) => connecting.trouble(sentence),
  });
  const tell = () => sayKeeping(connection, { fleet, key }, silence.now());
  /** The writers of whom it is asked whether a restore has written for them. */
  const asking = new Set<string>();
  const silenceUnlessRestored = async (writer: string, over: string) => {
    asking.add(writer);
    // Of a server that does not answer it is not known: the writer is the more likely one.
    const isRestored = await restore.look(connection).catch(() => false);
    asking.delete(writer);
    if (isRestored) return meter.forget();
    silence.add(writer, over);
    tell();
  };
  const note = (subject: string, bytes: number) => {
    const writer = subject.split('.')[2] ?? '';
    if (!writers.has(writer) || silence.isSilenced(writer) || restore.isQuiet()) return;
    // The coordinator writes to each host.
    const over = meter.note(writer, bytes, writer === coordinator ? Object.keys(hosts).length + 1 : 1);
    if (over !== undefined && !asking.has(writer)) void silenceUnlessRestored(writer, over).catch(trouble);
  };
  const looking = createSayOnce(say);
  const look = () => {
    try {
      for (const writer of silence.look()) {
        meter.forget(writer);
        say(`${writer} may publish again`);
        tell();
      }
      looking.over();
    } catch (error) {
      looking.trouble(error);
    }
  };
  const lookAtLog = async () => {
    if (await restore.look(connection)) meter.forget();
  };
  const lookingAtLog = createSayOnce(say);
  const trouble = (error: unknown) => lookingAtLog.trouble(error, 'the log can not be looked at: ');
  const timers = [
    setInterval(look, lookEveryMs),
    setInterval(() => void lookAtLog().catch(trouble), lookAtLogEveryMs),
    setInterval(tell, keepingEveryMs),
  ];
  await restore.look(connection).catch(trouble);
  say(`watches the log of ${fleet}`);
  tell();
  try {
    await watchStreams(connection, { onMessage: note, onAnew: restore.begin }, { say, signal });
  } finally {
    for (const timer of timers) clearInterval(timer);
    await connection.close();
  }
};
