/** What is wrong with a message, and whose it is, or claims to be. */
export interface Alarm {
  writer: string;
  /** What is wrong, as a word of this program: alarms of one writer with the same cause are one group. */
  cause: string;
  /** The message, for a person: its place and its subject, or whose it is. */
  what: string;
  /** What is wrong with it, in a sentence. */
  why: string;
  /** Its place in its stream, where that is known. */
  sequence?: number;
}

/** Alarms of one writer with one cause. `what` and `why` are those of the first. */
export interface AlarmGroup extends Alarm {
  count: number;
  /** The sequence of the last one. */
  last?: number;
}

/** How many groups are kept apart. What comes beyond is counted in one more. */
const mostGroups = 200;
const others = 'others';

/** Puts alarms into groups: whoever floods a stream with rubbish makes one line of it, not a thousand. */
export const groupAlarms = () => {
  const groups = new Map<string, AlarmGroup>();
  return {
    /** @returns the alarm's group, with it. */
    add(alarm: Alarm): AlarmGroup {
      const own = `${alarm.writer} ${alarm.cause}`;
      const key = groups.has(own) || groups.size < mostGroups ? own : others;
      const group = groups.get(key) ?? { ...alarm, count: 0 };
      group.count += 1;
      if (alarm.sequence !== undefined) group.last = alarm.sequence;
      groups.set(key, group);
      return group;
    },
    /** Oldest first. */
    all: (): AlarmGroup[] => [...groups.values()],
  };
};

/** One line for a group of alarms. @param next what becomes of the messages, or what to do next. */
export const alarmWords = (group: AlarmGroup, next: string): string => {
  const { writer, count, what, why, sequence, last } = group;
  if (count === 1) return `ALARM: ${what}: ${why}; ${next}`;
  const from = sequence === undefined ? '' : `, sequence ${sequence} to ${last}`;
  return `ALARM: ${count} messages of ${writer}${from}, the first ${what}: ${why}; ${next}`;
};

/** Reports alarms in groups. */
export interface Alarms {
  note(alarm: Alarm): void;
  /** Says what was not said yet. */
  tell(): void;
}

const againAfterMs = 10_000;

/**
 * Says the first alarm of each group at once, and how many there are by then after some seconds.
 * @param say takes one line. @param next see {@link alarmWords}.
 * @param isHeld whether nothing is said before `tell`.
 */
export const createAlarms = (
  say: (text: string) => void,
  next: string,
  { isHeld = false }: { isHeld?: boolean } = {},
): Alarms => {
  const groups = groupAlarms();
  const unsaid = new Set<AlarmGroup>();
  let timer: NodeJS.Timeout | undefined;
  const tell = () => {
    clearTimeout(timer);
    timer = undefined;
    for (const group of unsaid) say(alarmWords(group, next));
    unsaid.clear();
  };
  return {
    note(alarm) {
      const group = groups.add(alarm);
      if (!isHeld && group.count === 1) return say(alarmWords(group, next));
      unsaid.add(group);
      if (!isHeld) timer ??= setTimeout(tell, againAfterMs).unref();
    },
    tell,
  };
};
