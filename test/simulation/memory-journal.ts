import type {
  EffectEntry,
  Journal,
  LogPlace,
  NotedRequest,
  OutboxEvent,
} from '../../agents/runtime/journal.ts';
import type { StepName } from '../../schemas/step-names.ts';

type AttemptName = Pick<NotedRequest, 'iteration' | 'step' | 'attempt'>;

/** What of the journal the simulation needs. The type holds the methods to the real journal's, a test what they do. */
export type HostJournal = Pick<
  Journal,
  | 'noteRequest'
  | 'noteSuperseded'
  | 'isSuperseded'
  | 'nextRequest'
  | 'openAttempts'
  | 'position'
  | 'tries'
  | 'noteTry'
  | 'effect'
  | 'noteIntent'
  | 'noteResult'
  | 'begun'
  | 'lastWritten'
  | 'noteOutcome'
  | 'nextUnsent'
  | 'unsent'
  | 'markSent'
  | 'markUnsent'
  | 'ownEvents'
  | 'highestOf'
  | 'limitPosition'
>;

const keyOf = (iteration: string, step: StepName, attempt: number) => `${iteration} ${step} ${attempt}`;

type Own = OutboxEvent & { sent: boolean; sequence: number | null };

interface Kept {
  request: NotedRequest;
  state: 'open' | 'done' | 'superseded';
}

/** A journal without a disk: SQLite would take a hundred times as long as all the rest of a schedule. */
export class MemoryJournal implements HostJournal {
  readonly #requests = new Map<string, Kept>();
  readonly #superseded = new Set<string>();
  readonly #effects = new Map<string, Map<string, EffectEntry>>();
  readonly #outbox: Own[] = [];
  readonly #subjects = new Set<string>();
  #position = 0;

  /** A journal that goes on from this one, which stays as it is. */
  copy(): MemoryJournal {
    const copied = new MemoryJournal();
    copied.#position = this.#position;
    for (const [key, { request, state }] of this.#requests)
      copied.#requests.set(key, { request: { ...request }, state });
    for (const key of this.#superseded) copied.#superseded.add(key);
    for (const [key, effects] of this.#effects)
      copied.#effects.set(key, new Map([...effects].map(([name, entry]) => [name, { ...entry }])));
    for (const event of this.#outbox) copied.#outbox.push({ ...event });
    for (const subject of this.#subjects) copied.#subjects.add(subject);
    return copied;
  }

  noteRequest(request: Omit<NotedRequest, 'tries' | 'begunAt'>, place?: LogPlace): void {
    this.#raisePosition(place);
    const key = keyOf(request.iteration, request.step, request.attempt);
    if (this.#requests.has(key)) return;
    const state = this.#superseded.has(key) ? 'superseded' : 'open';
    this.#requests.set(key, { request: { ...request, tries: 0, begunAt: null }, state });
  }

  #raisePosition(place: LogPlace | undefined): void {
    this.#position = Math.max(this.#position, place?.sequence ?? 0);
  }

  limitPosition(sequence: number): void {
    this.#position = Math.min(this.#position, sequence);
  }

  position(): number {
    return this.#position;
  }

  noteSuperseded(
    iteration: string,
    step: StepName,
    attempt: number,
    message?: LogPlace & { bytes: Uint8Array },
  ): void {
    this.#raisePosition(message);
    const key = keyOf(iteration, step, attempt);
    this.#superseded.add(key);
    const kept = this.#requests.get(key);
    if (kept?.state === 'open') kept.state = 'superseded';
  }

  isSuperseded(iteration: string, step: StepName, attempt: number): boolean {
    return this.#superseded.has(keyOf(iteration, step, attempt));
  }

  nextRequest(): NotedRequest | undefined {
    for (const { request, state } of this.#requests.values()) if (state === 'open') return { ...request };
    return undefined;
  }

  openAttempts(): AttemptName[] {
    const open: AttemptName[] = [];
    for (const { request, state } of this.#requests.values())
      if (state === 'open')
        open.push({ iteration: request.iteration, step: request.step, attempt: request.attempt });
    return open;
  }

  tries({ iteration, step, attempt }: AttemptName): number {
    return this.#requests.get(keyOf(iteration, step, attempt))?.request.tries as number;
  }

  noteTry({ iteration, step, attempt }: AttemptName, now: number): void {
    const kept = this.#requests.get(keyOf(iteration, step, attempt));
    if (!kept) return;
    kept.request.tries += 1;
    kept.request.begunAt ??= now;
  }

  effect({ iteration, step, attempt }: AttemptName, name: string): EffectEntry | undefined {
    const entry = this.#effects.get(keyOf(iteration, step, attempt))?.get(name);
    return entry && { ...entry };
  }

  noteIntent({ iteration, step, attempt }: AttemptName, name: string, before: string): void {
    const key = keyOf(iteration, step, attempt);
    const effects = this.#effects.get(key) ?? new Map<string, EffectEntry>();
    if (effects.has(name)) throw new Error(`UNIQUE constraint failed: effect ${key} ${name}`);
    this.#effects.set(key, effects.set(name, { before, result: null }));
  }

  noteResult({ iteration, step, attempt }: AttemptName, name: string, result: string): void {
    const key = keyOf(iteration, step, attempt);
    const entry = this.#effects.get(key)?.get(name);
    if (entry) entry.result = result;
    const kept = this.#requests.get(key);
    if (kept) kept.request.tries = Math.min(kept.request.tries, 1);
  }

  begun({ iteration, step, attempt }: AttemptName): string[] {
    return [...(this.#effects.get(keyOf(iteration, step, attempt))?.keys() ?? [])];
  }

  lastWritten(): { seq: number; bytes: Uint8Array } | undefined {
    const last = this.#outbox.at(-1);
    return last && { seq: last.seq, bytes: last.bytes };
  }

  noteOutcome(event: OutboxEvent, answers?: AttemptName): void {
    const { seq, subject, bytes, signature } = event;
    if (this.#subjects.has(subject)) throw new Error(`UNIQUE constraint failed: outbox ${subject}`);
    const last = this.#outbox.at(-1);
    if (last && last.seq >= seq) throw new Error(`UNIQUE constraint failed: outbox ${seq}`);
    this.#outbox.push({ seq, subject, bytes, signature, sent: false, sequence: null });
    this.#subjects.add(subject);
    if (!answers) return;
    const kept = this.#requests.get(keyOf(answers.iteration, answers.step, answers.attempt));
    if (kept) kept.state = 'done';
  }

  nextUnsent(): OutboxEvent | undefined {
    const found = this.#outbox.find(({ sent }) => !sent);
    if (!found) return undefined;
    const { seq, subject, bytes, signature } = found;
    return { seq, subject, bytes, signature };
  }

  unsent(): number {
    return this.#outbox.filter(({ sent }) => !sent).length;
  }

  markSent(seq: number, sequence?: number): void {
    const found = this.#outbox.find((event) => event.seq === seq);
    if (found) Object.assign(found, { sent: true, sequence: sequence ?? null });
  }

  markUnsent(seq: number): void {
    const found = this.#outbox.find((event) => event.seq === seq);
    if (found) Object.assign(found, { sent: false, sequence: null });
  }

  ownEvents(which: 'sent' | 'unsent', atMost = -1): (OutboxEvent & { sequence: number | null })[] {
    const found = this.#outbox.filter(({ sent }) => sent === (which === 'sent')).toReversed();
    const some = atMost < 0 ? found : found.slice(0, atMost);
    return some.map(({ sent: _sent, ...event }) => event);
  }

  highestOf(subjectPrefix: string): number {
    let highest = 0;
    for (const { subject } of this.#outbox)
      if (subject.startsWith(subjectPrefix))
        highest = Math.max(highest, Number(subject.slice(subjectPrefix.length)));
    return highest;
  }

  /** All own events, oldest first: the simulation compares them with the log. */
  own(): readonly Own[] {
    return this.#outbox;
  }
}
