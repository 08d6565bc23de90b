/** What is wrong with a message, and whose it is, or claims to be. */
export interface Alarm {
  writer: string;
  /** What is wrong, as a word of this program: alarms of one writer with the same cause are one group. */
  cause: string;
  /** The message, for a person: its place and its subject, or whose it is. */
  what: string;
  /** What is wrong with it, in a sentence. */
  why: string;
  /** What becomes of it, or what to do next. */
  next: string;
  /** Its place in its stream, where that is known. */
  sequence?: number;
}

/** A person knows of the message at this place in the log: it is no alarm any more. */
export interface Acknowledged {
  sequence: number;
  by: string;
  why: string;
}

/** Places in a stream, in ascending order: runs of them, from the first to the last of each. */
type Runs = [first: number, last: number][];

/** The alarms of one writer with one cause; the words are those of the first. */
interface Group extends Alarm {
  count: number;
  runs: Runs;
  acknowledged: Acknowledged[];
}

/** What was found, so that it can be kept and told again. */
export type KeptAlarms = Group[];

/** How many groups are kept apart. What comes beyond is counted in one more. */
const mostGroups = 200;
const others = 'others';

const holds = (runs: Runs, sequence: number): boolean =>
  runs.some(([first, last]) => first <= sequence && sequence <= last);

/** @returns whether it is new. */
const addTo = (runs: Runs, sequence: number): boolean => {
  const last = runs.at(-1);
  if (last && last[1] >= sequence) return false;
  if (last && last[1] === sequence - 1) last[1] = sequence;
  else runs.push([sequence, sequence]);
  return true;
};

const spelled = (sequences: readonly number[]): string =>
  sequences[0] === sequences.at(-1) ? `${sequences[0]}` : `${sequences[0]} to ${sequences.at(-1)}`;

/** The places of a group that nobody has acknowledged: the first and the last. */
const endsOf = ({ runs, acknowledged }: Group): number[] => {
  const known = new Set(acknowledged.map(({ sequence }) => sequence));
  const open = (sequence: number, step: 1 | -1, end: number): number | undefined => {
    for (let at = sequence; step === 1 ? at <= end : at >= end; at += step) if (!known.has(at)) return at;
    return undefined;
  };
  for (const [first, last] of runs) {
    const from = open(first, 1, last);
    if (from === undefined) continue;
    for (const [lower, upper] of runs.toReversed()) {
      const to = open(upper, -1, lower);
      if (to !== undefined) return [from, to];
    }
  }
  return [];
};

const messages = (count: number): string => (count === 1 ? '1 message' : `${count} messages`);

const alarmLine = (group: Group): string | undefined => {
  const { writer, what, why, next, acknowledged } = group;
  const count = group.count - acknowledged.length;
  if (count === 0) return undefined;
  const end = next === '' ? why : `${why}; ${next}`;
  if (group.count === 1) return `${what}: ${end}`;
  const ends = endsOf(group);
  const where = ends.length === 0 ? '' : `, sequence ${spelled(ends)}`;
  return `${messages(count)} of ${writer}${where}: ${end}`;
};

const acknowledgedLines = ({ writer, why: fault, acknowledged }: Group): string[] => {
  const lines = new Map<string, Acknowledged[]>();
  for (const one of acknowledged) {
    const key = `${one.by} ${one.why}`;
    lines.set(key, [...(lines.get(key) ?? []), one]);
  }
  return [...lines.values()].map((all) => {
    const places = spelled(all.map(({ sequence }) => sequence).sort((a, b) => a - b));
    return `${messages(all.length)} of ${writer}, sequence ${places}: ${fault}; acknowledged by ${all[0]?.by}: ${all[0]?.why}`;
  });
};

/** Puts alarms into groups: whoever floods a log with rubbish makes one line of it, not a thousand. */
export class AlarmGroups {
  readonly #groups: Map<string, Group>;

  constructor(kept: KeptAlarms = []) {
    this.#groups = new Map(kept.map((group) => [`${group.writer} ${group.cause}`, structuredClone(group)]));
  }

  note(alarm: Alarm): void {
    const own = `${alarm.writer} ${alarm.cause}`;
    const isFull = !this.#groups.has(own) && this.#groups.size >= mostGroups;
    const key = isFull ? `${others} ${others}` : own;
    const named = isFull ? { writer: others, cause: others } : {};
    const group = this.#groups.get(key) ?? { ...alarm, ...named, count: 0, runs: [], acknowledged: [] };
    // A log that is read again brings the same again.
    const isNew = alarm.sequence === undefined || addTo(group.runs, alarm.sequence);
    if (isNew) group.count += 1;
    this.#groups.set(key, group);
  }

  acknowledge(one: Acknowledged): void {
    for (const { runs, acknowledged } of this.#groups.values())
      if (holds(runs, one.sequence) && !acknowledged.some(({ sequence }) => sequence === one.sequence))
        acknowledged.push(one);
  }

  /** One line for each group, which begins with the prefix, and one for what each person has acknowledged of it. */
  lines(prefix = 'ALARM: '): string[] {
    return [...this.#groups.values()].flatMap((group) => {
      const line = alarmLine(group);
      return [...(line === undefined ? [] : [prefix + line]), ...acknowledgedLines(group)];
    });
  }

  kept(): KeptAlarms {
    return structuredClone([...this.#groups.values()]);
  }
}

/** Reports alarms in groups. */
export interface Alarms {
  note(alarm: Alarm): void;
  acknowledge(one: Acknowledged): void;
  /** Says what was not said yet. */
  tell(): void;
}

const firstAfterMs = 1_000;
const againAfterMs = 10_000;

/**
 * Says each group of alarms soon after its first, and what has come since now and then.
 * @param say takes one line. @param mayTell whether all that is known by now was read: an alarm that was acknowledged
 * later in the log is none.
 */
export const createAlarms = (say: (text: string) => void, mayTell: () => boolean = () => true): Alarms => {
  const groups = new AlarmGroups();
  const said = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  const tell = () => {
    clearTimeout(timer);
    timer = undefined;
    for (const line of groups.lines()) {
      if (said.has(line)) continue;
      said.add(line);
      say(line);
    }
  };
  const look = () => {
    timer = undefined;
    if (mayTell()) tell();
    else tellSoon();
  };
  const tellSoon = () => {
    timer ??= setTimeout(look, said.size === 0 ? firstAfterMs : againAfterMs).unref();
  };
  return {
    note(alarm) {
      groups.note(alarm);
      tellSoon();
    },
    acknowledge(one) {
      groups.acknowledge(one);
      tellSoon();
    },
    tell,
  };
};
