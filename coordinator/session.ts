import { readFileSync } from 'node:fs';
import type { LoggedEvent, RefusedMessage } from '../eventlog/check-event.ts';
import { readConfigFile } from '../eventlog/config-file.ts';
import { connectNats, type LogConnection } from '../eventlog/connect.ts';
import { AppendConflict, appendEvent, EventLog } from '../eventlog/event-log.ts';
import { trustIn } from '../eventlog/trust.ts';
import { readWriterKey } from '../eventlog/writer-key.ts';
import { OperatorConfig } from '../schemas/config.ts';
import { personWriter } from '../schemas/events.ts';
import { Fleet } from '../schemas/fleet.ts';
import { type Command, decide, Refused } from './decide.ts';
import { evolve, passOver } from './evolve.ts';
import { sealDecided } from './seal-decided.ts';
import { initialState, type State } from './state.ts';

/** A person at the command line, connected to a fleet's log. */
export interface Session {
  /** Who speaks. */
  by: string;
  fleet: Fleet;
  connection: LogConnection;
  log: EventLog;
  /** The whole log, and the state that it folds to. */
  read(): Promise<{ events: LoggedEvent[]; state: State }>;
  /**
   * Appends what a person's command makes of the log as it is now.
   * @throws {Refused} if it can't be done as things are.
   */
  command(command: Command): Promise<LoggedEvent['event']['type']>;
  close(): Promise<void>;
}

export const foldLog = (events: readonly LoggedEvent[]): State => events.reduce(evolve, initialState);

/** How often the log may move on under a person's command before it is given up. */
const tries = 20;

/**
 * What a person's config says: the fleet, who speaks, and that person's key.
 * @param as a name of the config's identities; the first of them where nobody is named.
 * @throws {ConfigFault} @throws {Refused} if nobody of that name can speak here.
 */
export const readControl = (configFile: string, as?: string) => {
  const config = readConfigFile(configFile, OperatorConfig);
  const fleet = readConfigFile(config.fleetFile, Fleet);
  const names = Object.keys(config.identities);
  const by = as ?? names[0] ?? '';
  const keyFile = Object.hasOwn(config.identities, by) ? config.identities[by] : undefined;
  if (keyFile === undefined)
    throw new Refused(`"${by}" has no key here: ${configFile} has those of ${names.join(', ')}`);
  const key = readWriterKey(readFileSync(keyFile, 'utf8'));
  const pinned = fleet.operators[by];
  if (!pinned)
    throw new Refused(`"${by}" is no operator of the fleet: ${config.fleetFile} names none of that name`);
  if (pinned.publicKey !== key.publicKey && !pinned.earlierKeys?.includes(key.publicKey))
    throw new Refused(
      `the key ${keyFile} is ${key.publicKey}, and ${config.fleetFile} pins another for ${by}: ${pinned.publicKey}`,
    );
  const nats = { ...config.nats, keyFile, name: personWriter(by) };
  return { config, fleet, by, key, nats };
};

/** @param configFile an {@link OperatorConfig}. @param as who speaks, see {@link readControl}. */
export const openSession = async (configFile: string, as?: string): Promise<Session> => {
  const { fleet, by, key, nats } = readControl(configFile, as);
  const connection = await connectNats(nats);
  const alarm =
    (next: string) =>
    ({ sequence, subject, why }: RefusedMessage) =>
      process.stderr.write(`ka: ALARM: sequence ${sequence}, ${subject}: ${why}; ${next}\n`);
  const log = new EventLog(connection, trustIn(fleet), {
    onRefused: alarm('nothing is made of it'),
    onAlarm: alarm('see: ka audit --verify'),
  });
  const read = async () => {
    const { events, lastSequence } = await log.read();
    return { events, state: passOver(foldLog(events), lastSequence) };
  };
  return {
    by,
    fleet,
    connection,
    log,
    read,
    async command(command) {
      for (let tried = 0; tried < tries; tried += 1) {
        const { state } = await read();
        const [event] = decide(command, state);
        if (!event) throw new Refused('there is nothing to do');
        const sealed = sealDecided(event, { fleet: fleet.fleet, name: personWriter(by), key }, state);
        try {
          const { outcome } = await appendEvent(connection, sealed, state.sequence);
          if (outcome === 'appended') return event.type;
          if (outcome === 'there')
            throw new Refused(`somebody else did the same a moment ago: ${event.type} is in the log`);
        } catch (error) {
          if (!(error instanceof AppendConflict)) throw error;
          // Somebody was faster: the state that it makes says what is possible now.
        }
      }
      throw new Refused(`the log moved on ${tries} times while this was being appended; try again`);
    },
    // Nothing is on its way: all that is sent is waited for. Draining would wait for a server that is gone.
    close: () => connection.close(),
  };
};
