import type { Command } from 'commander';
import { acknowledgedHash } from '../../eventlog/signing/acknowledgement.ts';
import { mostAcknowledged, noIteration, personWriter, writerIn } from '../../schemas/events.ts';
import type { LogFlaw } from '../reading/verify-log.ts';
import { Refused } from '../refused.ts';
import { verifyMessages } from './export-command.ts';
import { type ConfigPlaces, type FleetOptions, print, printJson, withSession } from './options.ts';
import type { Session } from './session.ts';

type Range = [first: number, last: number];

/** `17`, or `17-40`. @throws {Refused} */
const readRange = (text: string): Range => {
  const [, first, last = first] = /^([1-9]\d{0,14})(?:-([1-9]\d{0,14}))?$/.exec(text) ?? [];
  if (first === undefined || Number(last) < Number(first))
    throw new Refused(
      `"${text}" is no sequence of the log: expected 17, or 17-40 for all that is refused there`,
    );
  return [Number(first), Number(last)];
};

/** The message that shows a fault, if a person may acknowledge it. */
const shownBy = ({ sequence, cause, shownBy: by = sequence }: LogFlaw): number | undefined =>
  cause === undefined ? undefined : by;

interface ToAcknowledge {
  sequence: number;
  writer: string;
}

/** The messages with a fault in these places. @throws {Refused} if there are none, or of several writers. */
const faultsIn = (faults: readonly LogFlaw[], ranges: readonly Range[], of?: string): ToAcknowledge[] => {
  const found = new Map<number, string>();
  for (const [first, last] of ranges) {
    const there = faults.flatMap((flaw): ToAcknowledge[] => {
      const sequence = shownBy(flaw);
      const writer = writerIn(flaw.subject);
      const isWanted = of === undefined || writer === of;
      const isThere = flaw.sequence >= first && flaw.sequence <= last;
      return sequence !== undefined && isWanted && isThere ? [{ sequence, writer }] : [];
    });
    if (there.length === 0)
      throw new Refused(
        `no message${of === undefined ? '' : ` of ${of}`} is refused, or out of its writer's chain, ${first === last ? `at sequence ${first}` : `from sequence ${first} to ${last}`}; see: ka audit --verify`,
      );
    for (const { sequence, writer } of there) found.set(sequence, writer);
  }
  const writers = [...new Set(found.values())];
  if (writers.length > 1)
    throw new Refused(
      `these are messages of ${writers.join(', ')}: look at each writer's by themselves, with --of WRITER`,
    );
  return [...found].sort(([a], [b]) => a - b).map(([sequence, writer]) => ({ sequence, writer }));
};

/** Says that a person knows of these messages: each by its place and its bytes, as the log holds them. */
const acknowledge = async (
  { by, log, say }: Session,
  wanted: readonly ToAcknowledge[],
  why: string,
): Promise<void> => {
  for (let at = 0; at < wanted.length; at += mostAcknowledged) {
    const messages: { sequence: number; sha256: string }[] = [];
    for (const { sequence } of wanted.slice(at, at + mostAcknowledged)) {
      const message = await log.messageAt(sequence);
      if (!message) throw new Refused(`the log holds nothing at sequence ${sequence} any more; try again`);
      messages.push({ sequence, sha256: acknowledgedHash(message) });
    }
    await say(({ events }) => {
      const own = events.filter(
        ({ event }) => event.type === 'RefusalAcknowledged' && event.source === personWriter(by),
      );
      return {
        type: 'RefusalAcknowledged',
        iteration: noIteration,
        attempt: own.length + 1,
        data: { by, why, messages },
      };
    });
  }
};

/** Adds `ka log acknowledge`. @param log the command `log`. */
export const addAcknowledgeCommand = (log: Command, places: ConfigPlaces): void => {
  log
    .command('acknowledge')
    .description(
      'say that you know of messages that are refused: they are no alarm any more; needs the right "restore"',
    )
    .argument('<sequence...>', 'where they are: 17, or 17-40 for all that is refused there')
    .requiredOption('--why <text>', 'what they are')
    .option('--of <writer>', 'only messages of this writer')
    .option('--config <file>', "the command line's config")
    .option('--as <name>', 'who acts: a name whose key the config has')
    .option('--json', 'print one JSON document')
    .action((sequences: string[], _: unknown, command: Command) => {
      // `log` takes --config and --json as well, and the outer command gets them.
      const options = command.optsWithGlobals<FleetOptions & { why: string; of?: string }>();
      const ranges = sequences.map(readRange);
      return withSession(options, places, async (session) => {
        const { by, fleet } = session;
        if (!fleet.operators[by]?.may.includes('restore'))
          throw new Refused(
            `${by} may not acknowledge anything: the fleet's file does not give the right "restore"`,
          );
        const { faults } = await verifyMessages(session);
        const wanted = faultsIn(faults, ranges, options.of);
        await acknowledge(session, wanted, options.why);
        const places = wanted.map(({ sequence }) => sequence);
        const [{ writer } = { writer: 'nobody' }] = wanted;
        if (options.json) return printJson({ writer, acknowledged: places });
        print(`acknowledged ${places.length} of ${writer}, sequence ${places[0]} to ${places.at(-1)}`);
      });
    });
};
