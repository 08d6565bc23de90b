import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { columns } from '../../coordinator/commands/table.ts';
import { printable } from '../../schemas/printable.ts';
import { withBundledWorker } from '../bundled-worker.ts';
import type { FuzzResult, FuzzTarget } from './fuzz-target.ts';
import type { Job } from './fuzz-worker.ts';
import { inputOf } from './run-target.ts';
import { targetNamed, targets } from './targets.ts';

const jobCases = 1000;
const programJobCases = 50;
/** How long one case may take: an input on which a reader hangs is a fault of the reader. */
const caseTimeoutMs = 30_000;

/** The jobs of a run. Each has its own seed; the first job of each target has the run's seed. */
const jobsOf = (chosen: readonly FuzzTarget[], cases: number, seed: number): Job[] => {
  const shares = chosen.reduce((sum, { share }) => sum + share, 0);
  return chosen.flatMap(({ name, share, programs }) => {
    const size = programs ? programJobCases : jobCases;
    const all = Math.max(1, Math.round((cases * share) / shares));
    return Array.from({ length: Math.ceil(all / size) }, (_, nth) => ({
      target: name,
      seed: seed + nth,
      cases: Math.min(size, all - nth * size),
    }));
  });
};

/** A thread that runs one job after another; a job that hangs, prints or dies is a finding. */
const startThread = (workerFile: string) => {
  const progress = new SharedArrayBuffer(4);
  const counter = new Int32Array(progress);
  let worker: Worker | undefined;
  let printed = '';
  let onResult: (result: FuzzResult) => void = () => undefined;
  let onEnd: (why: string) => void = () => undefined;
  const start = () => {
    worker = new Worker(workerFile, {
      workerData: { progress },
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: 1024 },
    });
    worker.on('message', (result: FuzzResult) => onResult(result));
    worker.on('error', (error) => onEnd(error.stack ?? error.message));
    worker.on('exit', (code) => onEnd(`exit code ${code}`));
    for (const stream of [worker.stdout, worker.stderr])
      stream.on('data', (chunk) => (printed += String(chunk)));
    return worker;
  };
  const run = async (job: Job): Promise<FuzzResult> => {
    const thread = worker ?? start();
    printed = '';
    const startedAt = performance.now();
    const broken = async (how: string): Promise<FuzzResult> => {
      const number = Math.max(Atomics.load(counter, 0) - 1, 0);
      await thread.terminate();
      worker = undefined;
      const input = await inputOf(targetNamed(job.target), { seed: job.seed, number });
      return { cases: number, seconds: (performance.now() - startedAt) / 1000, broken: { input, how } };
    };
    let watch: NodeJS.Timeout | undefined;
    const result = await new Promise<FuzzResult | string>((resolve) => {
      let last = -1;
      let since = performance.now();
      watch = setInterval(() => {
        const now = Atomics.load(counter, 0);
        if (now !== last) [last, since] = [now, performance.now()];
        else if (performance.now() - since > caseTimeoutMs)
          resolve(`it does not come back within ${caseTimeoutMs / 1000} s`);
      }, 250);
      onResult = resolve;
      onEnd = (why) => resolve(`it ends the process: ${why}`);
      thread.postMessage(job);
    });
    clearInterval(watch);
    if (typeof result === 'string') return broken(result);
    if (printed !== '' && !result.broken)
      return broken(`something was printed: ${printable(printed).slice(0, 500)}`);
    return result;
  };
  return { run, stop: () => worker?.terminate() };
};

interface Found extends Job {
  broken: NonNullable<FuzzResult['broken']>;
}

/** Runs all jobs on as many threads as there are cores; skips the remaining jobs of a broken target. */
const runAll = async (workerFile: string, jobs: readonly Job[]) => {
  const sums = new Map<string, { cases: number; seconds: number }>();
  const found = new Map<string, Found>();
  const waiting = [...jobs];
  const work = async () => {
    const thread = startThread(workerFile);
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      if (found.has(job.target)) continue;
      const { cases, seconds, broken } = await thread.run(job);
      const sum = sums.get(job.target) ?? { cases: 0, seconds: 0 };
      sums.set(job.target, { cases: sum.cases + cases, seconds: sum.seconds + seconds });
      if (broken) found.set(job.target, { ...job, broken });
      if (process.stderr.isTTY)
        process.stderr.write(`\r\x1b[K${waiting.length} jobs to go, at ${job.target}`);
    }
    await thread.stop();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  return { sums, found };
};

/** Like {@link runAll}, from a bundle, which threads can run. */
const runBundled = async (jobs: readonly Job[]) => {
  return withBundledWorker('fuzz/fuzz-worker.ts', (workerFile) => runAll(workerFile, jobs));
};

const wholeNumber = (text: string, option: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new TypeError(`--${option} takes a whole number, not "${text}"`);
  return Number(text);
};

const usage = `usage: ka test fuzz [--cases N] [--seed S] [--target NAME]
  --cases N       how many in all (100000)
  --seed S        what they follow from (a new one each time, which is printed)
  --target NAME   this one alone: ${targets.map(({ name }) => name).join(', ')}\n`;

const readOptions = () => {
  const { values } = parseArgs({
    options: {
      cases: { type: 'string', default: '100000' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
      target: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  return {
    help: values.help,
    cases: wholeNumber(values.cases, 'cases'),
    seed: wholeNumber(values.seed, 'seed'),
    chosen: values.target === undefined ? targets : [targetNamed(values.target)],
  };
};

let options: ReturnType<typeof readOptions>;
try {
  options = readOptions();
} catch (error) {
  process.stderr.write(`ka: ${error instanceof Error ? error.message : error}\n${usage}`);
  process.exit(2);
}
if (options.help) {
  process.stdout.write(usage);
  process.exit();
}
const { chosen, cases, seed } = options;
const startedAt = performance.now();
const { sums, found } = await runBundled(jobsOf(chosen, cases, seed));
const rows = chosen.map(({ name }) => {
  const sum = sums.get(name) ?? { cases: 0, seconds: 0 };
  return [name, String(sum.cases), sum.seconds.toFixed(1), found.has(name) ? 'BROKEN' : 'nothing'];
});
const all = [...sums.values()].reduce((sum, one) => sum + one.cases, 0);
const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
process.stdout.write(
  `${columns(['target', 'cases', 'seconds', 'found'], rows)}\n${all} cases from seed ${seed} in ${seconds} s\n`,
);
for (const { target, seed: own, cases: of, broken } of found.values())
  process.stdout.write(
    `\n${target} is BROKEN by ${broken.input}\n${broken.how}\nsee it again: ./ka test fuzz --target ${target} --seed ${own} --cases ${of}\n`,
  );
if (found.size > 0) process.exitCode = 1;
