import { fork } from 'node:child_process';
import { once } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { type Replacement, withBundledWorker } from '../bundled-worker.ts';
import type { Chunk, Result } from './schedule-worker.ts';
import type { Property } from './simulation.ts';

/**
 * A line of the real loops that is broken in the simulation's bundle, and the properties by which the simulation finds
 * it.
 */
const breaks: readonly (Replacement & { what: string; finds: readonly Property[]; from?: number })[] = [
  {
    what: 'a request that is acked before it is in the journal',
    file: 'agents/runtime/request-loop.ts',
    line: 'const noted = second ?? (await options.onceThereIsRoom(() => note(message, blobs, options)));',
    by: `await message.ack();
        const noted = second ?? (await options.onceThereIsRoom(() => note(message, blobs, options)));`,
    finds: ['a request is acked once it is in the journal'],
  },
  {
    what: 'an effect that journals no intent',
    file: 'agents/runtime/effects.ts',
    line: 'journal.effects.noteIntent(request, name, toJson(before));',
    by: '',
    finds: [
      'an effect happens at most once past its probe',
      'an effect that is done is never asked about again',
    ],
  },
  {
    what: 'an intent that a power cut may undo',
    file: 'agents/runtime/journal/effects.ts',
    line: '.run(iteration, step, attempt, name, before);',
    by: ';this.#db.withoutSync(() => this.#db.statement("INSERT INTO effect (iteration, step, attempt, name, before) VALUES (?, ?, ?, ?, ?)").run(iteration, step, attempt, name, before));',
    finds: ['an effect happens at most once past its probe'],
  },
  {
    what: 'an effect whose result is journalled before it acts',
    file: 'agents/runtime/effects.ts',
    line: 'journal.effects.noteIntent(request, name, toJson(before));',
    by: `journal.effects.noteIntent(request, name, toJson(before));
         journal.effects.noteResult(request, name, 'null');`,
    finds: ['a step that has succeeded has had every effect'],
  },
  {
    what: 'an effect whose result is not journalled',
    file: 'agents/runtime/effects.ts',
    line: 'journal.effects.noteResult(request, name, json);',
    by: '',
    finds: ['an effect that is done is never asked about again'],
  },
  {
    what: 'an effect that is done again whatever its probe says',
    file: 'agents/runtime/effects.ts',
    line: "if (probed.happened === 'yes') return done(probed.result);",
    by: '',
    finds: ['an effect happens at most once past its probe'],
  },
  {
    what: 'an append that does not expect its subject to be empty',
    file: 'eventlog/stream/event-log.ts',
    line: 'lastSubjectSequence: 0,',
    by: '',
    finds: ['a subject holds one fact'],
  },
  {
    what: 'an append that does not expect the log to end where it was decided',
    file: 'eventlog/stream/event-log.ts',
    line: '...(expectedLast === undefined ? {} : { lastSequence: expectedLast }),',
    by: '',
    from: 301, // this needs two coordinators that decide different events of one state: seed 360 is the first
    finds: ['each event of a daemon follows from its one before', 'never two open attempts of one step'],
  },
  {
    what: 'a coordinator that repeats lost events, whatever the log has received before them since',
    file: 'coordinator/daemon/say-again.ts',
    line: 'if (next && isDueNow(next, state, view)) {',
    by: 'if (next) {',
    finds: [
      'each event of a daemon follows from its one before',
      'never two open attempts of one step',
      'an iteration ends, or waits for a named person or host',
    ],
  },
  {
    what: 'a checkpoint that is repeated in another log than it was signed over',
    file: 'coordinator/daemon/say-again.ts',
    line: 'rootOver(event.data.size, tree) !== event.data.root',
    by: 'false',
    finds: ['an iteration ends, or waits for a named person or host'],
  },
  {
    what: 'a coordinator that decides on its copy of the log before it has compared the two',
    file: 'coordinator/daemon/coordinator.ts',
    line: 'this.#comparedAt = undefined;',
    by: '',
    from: 5_401, // this needs a cut, and a start before the log is as long again: seed 5463 is the first
    finds: ['each event of a daemon follows from its one before'],
  },
  {
    what: 'a lost event of a host that is not sent again',
    file: 'agents/runtime/compare-with-log.ts',
    line: 'for (const seq of lost) journal.outbox.markUnsent(seq);',
    by: '',
    finds: ['no outcome is lost', 'each event of a daemon follows from its one before'],
  },
];

const schedules = 5_000;

/** Runs schedules from a bundle, in a separate process, until one breaks a property. */
const runIn = async (workerFile: string, from: number): Promise<Result> => {
  const worker = fork(workerFile, { execArgv: [] });
  onTestFinished(() => void worker.kill('SIGKILL'));
  const died = once(worker, 'exit').then(([code, signal]) => {
    throw new Error(`the worker ended (${code ?? signal}) before it had a result`);
  });
  const told = once(worker, 'message') as Promise<[Result]>;
  worker.send({ from, count: schedules } satisfies Chunk);
  const [result] = await Promise.race([told, died]);
  died.catch(() => undefined); // it is killed when the test ends
  return result;
};

it.each(breaks)('the simulation finds $what', async ({ finds, from = 1, ...replacement }) => {
  const { broken } = await withBundledWorker(
    'simulation/schedule-worker.ts',
    (workerFile) => runIn(workerFile, from),
    replacement,
  );
  expect(finds).toContain(broken?.property);
});
