import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Journal } from '../../agents/runtime/journal.ts';
import { type HostJournal, MemoryJournal } from './memory-journal.ts';
import { createRandom, type Random } from './random.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ka-memory-journal-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bytesOf = (text: string) => new TextEncoder().encode(text);
const orThrown = (what: () => void): string => {
  try {
    what();
    return 'done';
  } catch (error) {
    return String(error).includes('UNIQUE') ? 'not unique' : String(error);
  }
};

type Operation = (journal: HostJournal) => unknown;

const createOperations = (random: Random): (() => Operation) => {
  let seq = 0;
  const attemptName = () =>
    ({
      iteration: random.pick(['iter5', 'iter6']),
      step: random.pick(['build', 'land'] as const),
      attempt: random.between(1, 2),
    }) as const;
  const own = (subject: string) => ({ seq, subject, bytes: bytesOf(subject), signature: 'sig' });
  const kinds: (() => Operation)[] = [
    () => {
      const [name, sequence] = [attemptName(), random.below(50)];
      const request = { ...name, eventId: `coordinator/${sequence}`, bytes: bytesOf('request') };
      return (journal) => journal.noteRequest(request, { sequence, signature: 'sig' });
    },
    () => {
      const [{ iteration, step, attempt }, sequence] = [attemptName(), random.below(50)];
      const message = { sequence, signature: 'sig', bytes: bytesOf('stop') };
      return (journal) => journal.noteSuperseded(iteration, step, attempt, message);
    },
    () => {
      const [name, now] = [attemptName(), random.below(1000)];
      return (journal) => journal.noteTry(name, now);
    },
    () => {
      const [name, effect] = [attemptName(), random.pick(['first', 'second'])];
      return (journal) => orThrown(() => journal.noteIntent(name, effect, '"before"'));
    },
    () => {
      const [name, effect] = [attemptName(), random.pick(['first', 'second'])];
      return (journal) => journal.noteResult(name, effect, '"result"');
    },
    () => {
      seq += 1;
      const [event, answers] = [own(`s.${random.below(20)}`), random.chance(0.5) ? attemptName() : undefined];
      return (journal) => orThrown(() => journal.noteOutcome(event, answers));
    },
    () => {
      const sent = random.between(1, Math.max(1, seq));
      return (journal) => journal.markSent(sent, 7);
    },
    () => {
      const lost = random.between(1, Math.max(1, seq));
      return (journal) => journal.markUnsent(lost);
    },
    () => {
      const last = random.below(50);
      return (journal) => journal.limitPosition(last);
    },
  ];
  return () => random.pick(kinds)();
};

/** All that a journal answers. */
const answers = (journal: HostJournal): unknown => {
  const plain = (value: { bytes: Uint8Array } | undefined) =>
    value && { ...value, bytes: Buffer.from(value.bytes).toString() };
  const names = ['iter5', 'iter6'].flatMap((iteration) =>
    (['build', 'land'] as const).flatMap((step) => [1, 2].map((attempt) => ({ iteration, step, attempt }))),
  );
  return {
    position: journal.position(),
    next: plain(journal.nextRequest()),
    open: journal.openAttempts(),
    lastWritten: plain(journal.lastWritten()),
    nextUnsent: plain(journal.nextUnsent()),
    unsent: journal.unsent(),
    highest: journal.highestOf('s.'),
    own: [...journal.ownEvents('sent'), ...journal.ownEvents('unsent'), ...journal.ownEvents('sent', 1)].map(
      plain,
    ),
    attempts: names.map((name) => [
      journal.isSuperseded(name.iteration, name.step, name.attempt),
      journal.tries(name),
      journal.begun(name),
      journal.effect(name, 'first'),
      journal.effect(name, 'second'),
    ]),
  };
};

it('the journal in memory answers as the one on disk does, whatever is done to both', () => {
  for (let seed = 1; seed <= 25; seed += 1) {
    const random = createRandom(seed);
    const journal = new Journal(join(folder, `${seed}.db`));
    let memory = new MemoryJournal();
    const next = createOperations(random);
    for (let done = 0; done < 20; done += 1) {
      const operation = next();
      expect(operation(memory), `seed ${seed}`).toEqual(operation(journal));
      if (random.chance(0.2)) memory = memory.copy();
      expect(answers(memory), `seed ${seed}`).toEqual(answers(journal));
    }
    journal.close();
  }
});
