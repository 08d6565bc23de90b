import { connectNats, type LogConnection } from '../../eventlog/connection/connect.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { lacksOf, type RefusedMessage } from '../../eventlog/signing/check-event.ts';
import { readKeyFile } from '../../eventlog/signing/key-file.ts';
import { trustIn } from '../../eventlog/signing/trust.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import { AppendConflict, appendEvent, EventLog } from '../../eventlog/stream/event-log.ts';
import { OperatorConfig } from '../../schemas/config.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { type NewEvent, personWriter } from '../../schemas/events.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { printable } from '../../schemas/printable.ts';
import { mayWrite } from '../../schemas/roles.ts';
import { sealDecided } from '../daemon/seal-decided.ts';
import { type Command, decide } from '../decider/decide.ts';
import { evolve, passOver } from '../decider/evolve.ts';
import { RefusedByDecider } from '../decider/refusal.ts';
import { initialState, type State } from '../decider/state.ts';
import { refusalWords } from '../reading/english/refusals.ts';
import { Refused } from '../refused.ts';

/** The whole log, and the state that it folds to. */
export interface LogRead {
  events: LoggedEvent[];
  state: State;
}

/** A person at the command line, connected to a fleet's log. */
export interface Session {
  /** Who speaks. */
  by: string;
  fleet: Fleet;
  connection: LogConnection;
  log: EventLog;
  read(): Promise<LogRead>;
  /** Appends what is made of the log as it is now. @throws {Refused} */
  say(make: (log: LogRead) => NewEvent): Promise<NewEvent>;
  /**
   * Appends what a person's command makes of the log as it is now.
   * @throws {Refused} if it can't be done as things are.
   */
  command(command: Command): Promise<NewEvent>;
  close(): Promise<void>;
}

export const foldLog = (events: readonly LoggedEvent[]): State => events.reduce(evolve, initialState);

/** @throws {Refused} in words, if it can't be done as things are. */
const decideForPerson = (command: Command, state: State): NewEvent[] => {
  try {
    return decide(command, state);
  } catch (error) {
    if (!(error instanceof RefusedByDecider)) throw error;
    throw new Refused(refusalWords(error.iteration, error.reason));
  }
};

/** How often the log may move on under a person's command before it is given up. */
const tries = 20;

/**
 * What a person's config says: the fleet, who speaks, where that person's key is, and what the fleet's file pins.
 * @param as a name of the config's identities; the first of them where nobody is named.
 * @throws {ConfigFault} @throws {Refused} if nobody of that name can speak here.
 */
export const readIdentity = (configFile: string, as?: string) => {
  const config = readConfigFile(configFile, OperatorConfig);
  const fleet = readConfigFile(config.fleetFile, Fleet);
  const names = Object.keys(config.identities);
  const by = as ?? names[0] ?? '';
  const keyFile = Object.hasOwn(config.identities, by) ? config.identities[by] : undefined;
  if (keyFile === undefined)
    throw new Refused(`"${by}" has no key here: ${configFile} has those of ${names.join(', ')}`);
  const pinned = Object.hasOwn(fleet.operators, by) ? fleet.operators[by] : undefined;
  if (!pinned)
    throw new Refused(`"${by}" is no operator of the fleet: ${config.fleetFile} names none of that name`);
  return { config, fleet, by, keyFile, pinned };
};

/** As {@link readIdentity}, with the key that the person has. @throws also if the fleet's file pins another. */
export const readControl = (configFile: string, as?: string) => {
  const { config, fleet, by, keyFile, pinned } = readIdentity(configFile, as);
  const key = readKeyFile(keyFile);
  if (pinned.publicKey !== key.publicKey && !pinned.earlierKeys?.includes(key.publicKey))
    throw new Refused(
      `the key ${keyFile} is ${key.publicKey}, and ${config.fleetFile} pins another for ${by}: ${pinned.publicKey}; if it was rotated, see: ka key rotate --as ${by}`,
    );
  const nats = { ...config.nats, keyFile, name: personWriter(by) };
  return { config, fleet, by, key, nats };
};

/** Reads a fleet's log for a person, who is told of what is wrong with it. */
export const personsLog = (connection: LogConnection, fleet: Fleet) => {
  const alarm =
    (next: string) =>
    ({ sequence, subject, why }: RefusedMessage) =>
      process.stderr.write(`${printable(`ka: ALARM: sequence ${sequence}, ${subject}: ${why}; ${next}`)}\n`);
  const log = new EventLog(connection, trustIn(fleet), {
    onRefused: alarm('nothing is made of it'),
    onAlarm: alarm('see: ka audit --verify'),
  });
  const read = async (): Promise<LogRead> => {
    const { events, lastSequence } = await log.read();
    return { events, state: passOver(foldLog(events), lastSequence) };
  };
  return { log, read };
};

/**
 * Appends what is made of the log as it is now, and makes it anew when somebody else was faster.
 * @throws {Refused} if the same is there already, or others are faster again and again. @throws what `make` throws.
 */
export const appendMade = async (
  connection: LogConnection,
  read: () => Promise<LogRead>,
  writer: { fleet: string; name: string; key: WriterKey },
  make: (log: LogRead) => NewEvent,
): Promise<NewEvent> => {
  for (let tried = 0; tried < tries; tried += 1) {
    const now = await read();
    const event = make(now);
    const sealed = sealDecided(event, writer, now.state);
    /** The same subject's, which nobody can read any more. */
    const torn = now.events.find((one) => one.subject === sealed.subject && lacksOf(one).length > 0);
    try {
      const { outcome } = await appendEvent(connection, sealed, now.state.sequence);
      // With the same said again, what it has put aside was put back.
      if (outcome === 'appended' || (outcome === 'there' && torn)) return event;
      if (outcome === 'there')
        throw new Refused(`somebody else did the same a moment ago: ${event.type} is in the log`);
    } catch (error) {
      if (!(error instanceof AppendConflict)) throw error;
      if (torn)
        throw new Refused(
          `${event.type} of ${event.iteration} stands in the log at sequence ${torn.sequence} and says something else; blob ${lacksOf(torn)[0]?.sha256}, which it names, is missing; next: say the same again as then, or: ka log restore --write`,
        );
      // Somebody was faster: the state that it makes says what is possible now.
    }
  }
  throw new Refused(`the log moved on ${tries} times while this was being appended; try again`);
};

/** @param configFile an {@link OperatorConfig}. @param as who speaks, see {@link readControl}. */
export const openSession = async (configFile: string, as?: string): Promise<Session> => {
  const { fleet, by, key, nats } = readControl(configFile, as);
  const connection = await connectNats(nats);
  const { log, read } = personsLog(connection, fleet);
  const writer = { fleet: fleet.fleet, name: personWriter(by), key };
  const own = { role: 'operator', may: fleet.operators[by]?.may } as const;
  // Whoever reads the log would take it for nothing, and it would stand there for ever.
  const permitted = (event: NewEvent): NewEvent => {
    if (mayWrite(own, event.type)) return event;
    throw new Refused(
      `${by} may not say ${event.type}: the fleet's file lets ${by} ${own.may?.join(', ')}; let somebody else with --as NAME`,
    );
  };
  const say: Session['say'] = (make) => appendMade(connection, read, writer, (now) => permitted(make(now)));
  return {
    by,
    fleet,
    connection,
    log,
    read,
    say,
    command: (command) =>
      say(({ state }) => {
        const [event] = decideForPerson(command, state);
        if (!event) throw new Refused('there is nothing to do');
        return event;
      }),
    // Nothing is on its way: all that is sent is waited for. Draining would wait for a server that is gone.
    close: () => connection.close(),
  };
};
