import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { connectNats, type LogConnection } from '../../eventlog/connection/connect.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { AlarmGroups, createAlarms } from '../../eventlog/grouped-alarms.ts';
import { lacksOf } from '../../eventlog/signing/check-event.ts';
import { readKeyFile } from '../../eventlog/signing/key-file.ts';
import { reportsInto } from '../../eventlog/signing/log-alarms.ts';
import { trustIn } from '../../eventlog/signing/trust.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import { AppendConflict, appendEvent, EventLog } from '../../eventlog/stream/event-log.ts';
import { OperatorConfig } from '../../schemas/config.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { type NewEvent, personWriter } from '../../schemas/events.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { sha256 } from '../../schemas/hash.ts';
import { printable } from '../../schemas/printable.ts';
import { mayWrite } from '../../schemas/roles.ts';
import { checkedBy } from '../daemon/open-log-copy.ts';
import { sealDecided } from '../daemon/seal-decided.ts';
import { type Command, decide } from '../decider/decide.ts';
import { evolve, passOver } from '../decider/evolve.ts';
import { RefusedByDecider } from '../decider/refusal.ts';
import { initialState, type State } from '../decider/state.ts';
import { refusalWords } from '../reading/english/refusals.ts';
import { KeptLog, type LogRead, type LogStanding } from '../reading/kept-log.ts';
import { Refused } from '../refused.ts';

/** A person at the command line, connected to a fleet's log. */
export interface Session {
  /** Who acts. */
  by: string;
  fleet: Fleet;
  connection: LogConnection;
  log: EventLog;
  read(): Promise<LogRead>;
  /** As `read`, without the events of what has ended. */
  standing(wanted?: { details?: boolean }): Promise<LogStanding>;
  /**
   * As `read`, of one iteration: what only the whole log shows (each writer's chain, other iterations) is not there.
   * An iteration that the log does not hold makes it read all of it.
   */
  readOf(iteration: string): Promise<LogRead>;
  /** Reads the log in another way, to its end, before any alarm of it is told. */
  toItsEnd<Result>(reading: () => Promise<Result>): Promise<Result>;
  /** Appends the event that `make` returns for the log as it is now. @throws {Refused} */
  say(make: (log: LogRead) => NewEvent): Promise<NewEvent>;
  /**
   * Appends the event that a person's command produces on the log as it is now.
   * @throws {Refused} if it can't be done as things are.
   */
  command(command: Command): Promise<NewEvent>;
  close(): Promise<void>;
}

export const foldLog = (events: readonly LoggedEvent[]): State => events.reduce(evolve, initialState);

/** @throws {Refused} with a sentence, if it can't be done as things are. */
const decideForPerson = (command: Command, state: State): NewEvent[] => {
  try {
    return decide(command, state);
  } catch (error) {
    if (!(error instanceof RefusedByDecider)) throw error;
    throw new Refused(refusalWords(error.iteration, error.reason));
  }
};

/** How often the log may move on during a person's command before the command gives up. */
const tries = 20;

/**
 * Reads a person's config: the fleet, who acts, where that person's key is, and what the fleet's file pins.
 * @param as a name of the config's identities; by default the first.
 * @throws {ConfigFault} @throws {Refused} if that name has no key here or is no operator.
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

/** Like {@link readIdentity}, with the person's key. @throws also if the fleet's file pins another key. */
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

/** The person's copy of the log: the copies of other fleets' files, and of other versions, are not taken for it. */
const copyIn = (cacheFolder: string, fleetFile: string, fleet: Fleet) => ({
  file: join(cacheFolder, `${fleet.fleet}-${sha256(resolve(fleetFile)).slice(0, 16)}`, 'log.db'),
  by: sha256(
    JSON.stringify([checkedBy(trustIn(fleet)), process.env.KA_BUILD ?? '', sha256(readFileSync(fleetFile))]),
  ),
});

/**
 * Reads a fleet's log for a person. Faults in it go to standard error.
 * @param copy see {@link KeptLog}.
 */
export const personsLog = (connection: LogConnection, fleet: Fleet, copy?: ReturnType<typeof copyIn>) => {
  const said = new Set<string>();
  const sayOnce = (line: string) => {
    if (!said.has(line)) process.stderr.write(`${printable(`ka: ${line}`)}\n`);
    said.add(line);
  };
  let readings = 0;
  const alarms = createAlarms(sayOnce, () => readings === 0);
  /** Reads something to its end before any alarm is told: a later event may acknowledge it. */
  const toItsEnd = async <Result>(reading: () => Promise<Result>): Promise<Result> => {
    readings += 1;
    try {
      return await reading();
    } finally {
      readings -= 1;
      if (readings === 0) alarms.tell();
    }
  };
  const log = new EventLog(connection, trustIn(fleet), reportsInto(alarms));
  const tell = (groups: AlarmGroups) => groups.lines().forEach(sayOnce);
  const kept = new KeptLog(log, tell, copy);
  const read = () => kept.read();
  const readOf = async (iteration: string): Promise<LogRead> => {
    const groups = new AlarmGroups();
    const { events, lastSequence } = await log.readIteration(iteration, reportsInto(groups));
    tell(groups);
    const state = passOver(foldLog(events), lastSequence);
    return state.starts.has(iteration) ? { events, state } : read();
  };
  return { log, read, readOf, standing: kept.standing.bind(kept), alarms, toItsEnd };
};

/** What the iteration alone shows whether it can be done. */
const isAboutOne = (command: Command): command is Command & { iteration: string } =>
  ['Approve', 'Reject', 'Abort', 'Waive'].includes(command.do);

/**
 * Appends the event that `make` returns for the log as it is now; if somebody else was faster, reads and makes it
 * again.
 * @throws {Refused} if the same event is in the log already, or others are faster too often. @throws what `make`
 * throws.
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
    /** The event that the log holds under the same subject, if its blobs are missing. */
    const torn = now.events.find((one) => one.subject === sealed.subject && lacksOf(one).length > 0);
    try {
      const { outcome } = await appendEvent(connection, sealed, now.state.sequence);
      // The same event again: the append has put its blobs back.
      if (outcome === 'appended' || (outcome === 'there' && torn)) return event;
      if (outcome === 'there')
        throw new Refused(`somebody else did the same a moment ago: ${event.type} is in the log`);
    } catch (error) {
      if (!(error instanceof AppendConflict)) throw error;
      if (torn)
        throw new Refused(
          `${event.type} of ${event.iteration} is in the log at sequence ${torn.sequence} with other content, and its blob ${lacksOf(torn)[0]?.sha256} is missing; next: repeat it with the content of then, or: ka log restore --write`,
        );
      // Somebody was faster: the new state shows what is possible now.
    }
  }
  throw new Refused(`the log moved on ${tries} times while this was being appended; try again`);
};

/**
 * @param configFile an {@link OperatorConfig}. @param as who acts, see {@link readIdentity}.
 * @param cacheFolder for the copy of the log, unless the config names another; without any, there is no copy.
 */
export const openSession = async (
  configFile: string,
  as?: string,
  cacheFolder?: string,
): Promise<Session> => {
  const { config, fleet, by, key, nats } = readControl(configFile, as);
  const folder = config.cacheFolder ?? cacheFolder;
  const copy = folder === undefined ? undefined : copyIn(folder, config.fleetFile, fleet);
  const connection = await connectNats(nats);
  const { log, read, readOf, standing, alarms, toItsEnd } = personsLog(connection, fleet, copy);
  const writer = { fleet: fleet.fleet, name: personWriter(by), key };
  const own = { role: 'operator', may: fleet.operators[by]?.may } as const;
  // Readers of the log would refuse the event, and it would stay in the log for ever.
  const permitted = (event: NewEvent): NewEvent => {
    if (mayWrite(own, event.type)) return event;
    throw new Refused(
      `${by} may not say ${event.type}: the fleet's file lets ${by} ${own.may?.join(', ')}; let somebody else with --as NAME`,
    );
  };
  const sayOf = (reading: () => Promise<LogRead>, make: (log: LogRead) => NewEvent) =>
    appendMade(connection, reading, writer, (now) => permitted(make(now)));
  /** What else goes on in the fleet counts as well. An unknown name is refused with the names that there are. */
  const readToAsk = async (iteration: string): Promise<LogRead> => {
    const now = await standing({ iteration });
    return now.state.iterations.has(iteration) || now.shown.size === 0 ? now : read();
  };
  /** An event links to the one that its writer wrote before, of whatever iteration. */
  const readToSay = async (iteration: string): Promise<LogRead> => {
    const [known, link] = await Promise.all([readOf(iteration), log.lastOf(writer.name)]);
    if (link === 'unclear') return read();
    const { writers, ...state } = known.state;
    return { ...known, state: { ...state, writers: link ? writers.set(writer.name, link) : writers } };
  };
  const readerFor = (command: Command): (() => Promise<LogRead>) => {
    if (command.do === 'Start') return () => standing({ iteration: command.iteration });
    if (command.do === 'Retry') return () => readToAsk(command.iteration);
    return isAboutOne(command) ? () => readToSay(command.iteration) : read;
  };
  return {
    by,
    fleet,
    connection,
    log,
    read,
    readOf,
    standing: (wanted = {}) => standing(wanted),
    toItsEnd,
    say: (make) => sayOf(read, make),
    command: (command) =>
      sayOf(readerFor(command), ({ state }) => {
        const [event] = decideForPerson(command, state);
        if (!event) throw new Refused('there is nothing to do');
        return event;
      }),
    // Nothing is on its way, since every send was awaited. Draining would wait for a server that is gone.
    close: async () => {
      alarms.tell();
      await connection.close();
    },
  };
};
