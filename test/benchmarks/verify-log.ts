import { availableParallelism } from 'node:os';
import { readEventRecords, writeEventRecords } from '../../coordinator/export/event-records.ts';
import { verifyLog } from '../../coordinator/reading/verify-log.ts';
import { exampleTrust } from '../../coordinator/testing/example-plan.ts';
import { RecordedLog } from '../../coordinator/testing/recorded-log.ts';
import { isSignedBy, payloadTypes } from '../../eventlog/signing/writer-key.ts';
import { parseSubject } from '../../schemas/events.ts';

// Measures the check of a whole log, compared with its bare signatures in the same run, so that the ratio does not
// depend on the machine. `tsx test/benchmarks/verify-log.ts [EVENTS]`
const count = Number(process.argv[2] ?? 100_000);
const checkpointEvery = 1000;

/** A log of outcomes of some 700 bytes each, as in a busy fleet. */
const makeLog = (): RecordedLog => {
  const log = new RecordedLog();
  const output = Array.from(
    { length: 4 },
    (_, line) => `  CC      drivers/media/platform/rkvdec/part-${line}.o`,
  );
  const data = { fault: 'work', reason: 'make ended with exit code 2', output, begun: ['worktree'] };
  while (log.messages.length < count) {
    const attempt = log.messages.length + 1;
    if (attempt % checkpointEvery === 0) log.checkpoint('fresnel', attempt);
    else log.append('boltzmann', { type: 'BuildFailed', iteration: 'iter5', attempt, data });
  }
  return log;
};

interface Cost {
  /** Seconds by the clock, and processor seconds: they differ on a machine with other work. */
  clock: number;
  processor: number;
}

const costOf = (work: () => void): Cost => {
  const before = process.cpuUsage();
  const start = performance.now();
  work();
  const { user, system } = process.cpuUsage(before);
  return { clock: (performance.now() - start) / 1000, processor: (user + system) / 1e6 };
};

const spell = (name: string, { clock, processor }: Cost): string =>
  `${name}: ${clock.toFixed(1)} s, of the processor ${processor.toFixed(1)} s, ${Math.round(count / processor)} events/s`;

const log = makeLog();
const file = Buffer.concat(
  [...writeEventRecords(log.header(), log.messages)].map((line) => Buffer.from(line)),
);
const { messages } = log;

const bare = costOf(() => {
  for (const { subject, bytes, signature } of messages) {
    const key = exampleTrust.writers.get(parseSubject(subject)?.writer ?? '')?.keys[0] ?? '';
    if (!isSignedBy(key, payloadTypes.event, bytes, signature))
      throw new Error('a good signature was refused');
  }
});

const checked = (name: string, verify: () => ReturnType<typeof verifyLog>): void => {
  const took = costOf(() => {
    const { events, faults } = verify();
    if (events !== count || faults.length > 0)
      throw new Error(`a good log was found to be bad: ${JSON.stringify(faults[0] ?? { events })}`);
  });
  console.log(`${spell(name, took)}, ${(took.processor / bare.processor).toFixed(2)} × the bare signatures`);
};

const size = messages.reduce((sum, { bytes }) => sum + bytes.length, 0) / count;
console.log(`${count} events of ${Math.round(size)} bytes, one thread of ${availableParallelism()} cores`);
console.log(spell('bare signatures', bare));
checked('the log as it is held', () => verifyLog(exampleTrust, { records: messages }));
checked('an export of it', () => verifyLog(exampleTrust, readEventRecords(file)));
