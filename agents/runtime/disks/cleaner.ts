import type { DiskUse } from '../../../eventlog/live/presence.ts';
import { createSayOnce } from '../../../eventlog/say-once.ts';
import type { Run } from '../../../host/run.ts';
import type { AttemptId } from '../../../schemas/attempt-id.ts';
import type { Journal } from '../journal/journal.ts';
import type { Clock } from '../ports.ts';
import { type HostIterations, readIterations } from './host-iterations.ts';
import type { Keeping, Kept } from './kept.ts';
import { measure } from './measure.ts';
import { overLimit } from './over-limit.ts';

export interface CleanerOptions {
  journal: Journal;
  keepings: readonly Keeping[];
  /** Runs what measures. */
  run: Run;
  clock: Pick<Clock, 'now'>;
  /** For the host's own log. */
  say: (text: string) => void;
  signal: AbortSignal;
}

/** Keeps what this host owns to its limits. */
export interface Cleaner {
  /** Removes what is over a limit and nobody needs. Never while an attempt runs. It never throws. */
  clean(after: AttemptId | undefined): Promise<void>;
  /** What there is, as it was seen last; undefined before. */
  told(): DiskUse[] | undefined;
}

/** Measures things; while none of them changes they are not measured again. */
const createMeasured = (run: Run) => {
  let known: { of: string; sizes: number[] } | undefined;
  return async (things: readonly Kept[]): Promise<number[]> => {
    const of = JSON.stringify(things.map(({ name, at, size }) => [name, at, size]));
    if (known?.of !== of) known = { of, sizes: await measure(run, things) };
    return known.sizes;
  };
};

/** One kind of things: cleaned by itself, so that trouble with one is no trouble with the others. */
const createKind = ({ kind, limit, list }: Keeping, { run, clock, say, signal }: CleanerOptions) => {
  const measured = createMeasured(run);
  const cleaning = createSayOnce(say);
  let left: readonly Kept[] | undefined;
  let use: DiskUse | undefined;

  const clean = async (iterations: HostIterations, after: AttemptId | undefined): Promise<void> => {
    const found = await list(iterations, after);
    if (!found) return;
    // The newest first: what an older one shares with it takes no room of its own.
    const things = found.toSorted((a, b) => b.at - a.at);
    const sizes = limit.bytes === undefined ? [] : await measured(things);
    const sizeOf = (thing: Kept) => sizes[things.indexOf(thing)] ?? 0;
    // The oldest first: cut anywhere, what is left are the newest.
    const over = overLimit(things, limit, { now: clock.now(), sizeOf }).toReversed();
    left = things;
    for (const thing of over) {
      await thing.remove();
      left = left.filter((one) => one !== thing);
    }
    if (over.length > 0) say(`${kind}: removed ${over.map(({ name }) => name).join(', ')}, over the limit`);
  };
  return {
    use: () => use,
    async clean(iterations: HostIterations, after: AttemptId | undefined) {
      try {
        await clean(iterations, after);
        cleaning.over();
      } catch (error) {
        if (signal.aborted) return;
        cleaning.trouble(error, `${kind} can't be cleaned, and is tried again after the next attempt: `);
      }
    },
    async measure() {
      if (!left) return;
      const sizes = await measured(left);
      use = { kind, number: left.length, bytes: sizes.reduce((sum, size) => sum + size, 0), limit };
    },
  };
};

export const createCleaner = (options: CleanerOptions): Cleaner => {
  const { say, signal } = options;
  const kinds = options.keepings.map((keeping) => createKind(keeping, options));
  const measuring = createSayOnce(say);
  const reading = createSayOnce(say);
  let isMeasuring = false;
  let isDue = false;

  /** Beside the work, since a large tree takes its time; what changes meanwhile is measured after it. */
  const measureAll = async (): Promise<void> => {
    isDue = true;
    if (isMeasuring) return;
    isMeasuring = true;
    while (isDue && !signal.aborted) {
      isDue = false;
      for (const kind of kinds)
        await kind.measure().then(
          () => measuring.over(),
          (error: unknown) => {
            if (!signal.aborted) measuring.trouble(error, 'what is kept on the disks: ');
          },
        );
    }
    isMeasuring = false;
  };
  return {
    async clean(after) {
      try {
        const iterations = readIterations(options.journal);
        for (const kind of kinds) if (!signal.aborted) await kind.clean(iterations, after);
        reading.over();
      } catch (error) {
        reading.trouble(error, 'the journal does not say which iterations go on: ');
      }
      void measureAll();
    },
    told() {
      const uses = kinds.flatMap((kind) => kind.use() ?? []);
      return uses.length > 0 ? uses : undefined;
    },
  };
};
