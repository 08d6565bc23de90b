import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { readConfigFile } from '../eventlog/config-file.ts';
import { connectNats, type LogConnection } from '../eventlog/connect.ts';
import { AppendConflict, appendEvent, EventLog, type LoggedEvent } from '../eventlog/event-log.ts';
import { pinnedKeys } from '../eventlog/seal.ts';
import { readWriterKey } from '../eventlog/writer-key.ts';
import { ControlConfig } from '../schemas/config.ts';
import { operator } from '../schemas/events.ts';
import { Fleet } from '../schemas/fleet.ts';
import { PersonName } from '../schemas/names.ts';
import { type Command, decide, Refused } from './decide.ts';
import { evolve, passOver } from './evolve.ts';
import { sealDecided } from './seal-decided.ts';
import { initialState, type State } from './state.ts';

/** A person at the command line, connected to a fleet's log. */
export interface Session {
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

/** What a person's config says: the fleet, and the operator's key. @throws {ConfigFault} */
export const readControl = (configFile: string) => {
  const config = readConfigFile(configFile, ControlConfig);
  const fleet = readConfigFile(config.fleetFile, Fleet);
  return { config, fleet, key: readWriterKey(readFileSync(config.keyFile, 'utf8')) };
};

/** @param configFile a {@link ControlConfig} with the operator's key. */
export const openSession = async (configFile: string): Promise<Session> => {
  const { config, fleet, key } = readControl(configFile);
  const connection = await connectNats({ ...config.nats, name: operator });
  const log = new EventLog(connection, pinnedKeys(fleet), ({ sequence, subject, why }) =>
    process.stderr.write(`ka: sequence ${sequence}, ${subject}: ${why}; nothing is made of it\n`),
  );
  const read = async () => {
    const { events, lastSequence } = await log.read();
    return { events, state: passOver(foldLog(events), lastSequence) };
  };
  return {
    fleet,
    connection,
    log,
    read,
    async command(command) {
      for (let tried = 0; tried < tries; tried += 1) {
        const { state } = await read();
        const [event] = decide(command, state);
        if (!event) throw new Refused('there is nothing to do');
        const sealed = sealDecided(event, { fleet: fleet.fleet, name: operator, key }, state);
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

/** Who speaks: `--as`, or the user's own name. @throws {Refused} if that is no name the log takes. */
export const speaker = (as: string | undefined): string => {
  const name = as ?? userInfo().username;
  const parsed = PersonName.safeParse(name);
  if (!parsed.success)
    throw new Refused(`"${name}" ${parsed.error.issues[0]?.message}; give one with --as NAME`);
  return parsed.data;
};
