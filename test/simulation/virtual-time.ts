/** A clock that moves only when something is due. Milliseconds since the schedule began. */
export interface VirtualTime {
  readonly now: number;
  /** Runs `what` after this time. Calls that are due at the same moment run in the order in which they were added. */
  after(ms: number, what: () => void): void;
  /** Notes that a promise is settled: the clock stands until everything that follows from it has run. */
  settles(): void;
  /** Runs due calls in order, until there are none, `isOver` returns true, or the clock would pass `until`. */
  run(until: number, isOver: () => boolean): Promise<void>;
}

interface Due {
  at: number;
  order: number;
  what: () => void;
}

const isBefore = (a: Due, b: Due) => a.at < b.at || (a.at === b.at && a.order < b.order);

/**
 * Resolves once all promises that can go on have gone on, since nothing here waits for anything but this clock. A
 * process tick comes after the last of them and, unlike a turn of the event loop, asks the system for nothing.
 */
const allHasRun = () => new Promise<void>((resolve) => process.nextTick(resolve));

export const createVirtualTime = (): VirtualTime => {
  const heap: Due[] = [];
  let now = 0;
  let order = 0;
  let settled = false;
  const push = (due: Due) => {
    let at = heap.length;
    heap.push(due);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Due;
      if (!isBefore(due, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = due;
  };
  const pop = (): Due => {
    const first = heap[0] as Due;
    const last = heap.pop() as Due;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Due, heap[child] as Due)) child += 1;
      if (!isBefore(heap[child] as Due, last)) break;
      heap[at] = heap[child] as Due;
      at = child;
    }
    heap[at] = last;
    return first;
  };
  return {
    get now() {
      return now;
    },
    after(ms, what) {
      order += 1;
      push({ at: now + ms, order, what });
    },
    settles() {
      settled = true;
    },
    async run(until, isOver) {
      // One turn of the event loop per run, so that the process receives its messages; everything else runs among
      // promises.
      await new Promise<void>((resolve) => void setImmediate(resolve));
      while (heap.length > 0 && !isOver()) {
        if ((heap[0] as Due).at > until) return;
        const { at, what } = pop();
        now = at;
        what();
        if (!settled) continue;
        settled = false;
        await allHasRun();
      }
    },
  };
};
