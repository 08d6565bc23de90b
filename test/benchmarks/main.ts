import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { columns } from '../../coordinator/commands/table.ts';
import { judge, type Result, smallScale, wholeScale } from './benchmark.ts';
import { commandLine } from './command-line.ts';
import { coordinatorStart } from './coordinator-start.ts';
import { copyOverSsh } from './copy-over-ssh.ts';
import { decideOne } from './decide.ts';
import { idleDaemons } from './idle.ts';
import { steps } from './steps.ts';
import { verifyLog } from './verify-log.ts';

const benchmarks = [
  ...[...commandLine, verifyLog, ...coordinatorStart, decideOne],
  ...[...steps, ...idleDaemons, copyOverSsh],
];

const usage = `usage: ka test benchmarks [NAME] [--json] [--small]
  NAME      the rows whose name holds it; without it, all
  --json    print an array of {name, ours, baseline, unit, ratio, goal, met}
  --small   with so little work that the numbers mean nothing: only shows that each row still runs\n`;

const number = (value: number | null): string =>
  value === null ? '-' : String(Number(value.toPrecision(3)));

const tableOf = (results: readonly Result[]): string =>
  columns(
    ['WHAT', 'OURS', 'BASELINE', 'UNIT', 'RATIO', 'GOAL', 'MET'],
    results.map(({ name, ours, baseline, unit, ratio, goal, met }) => [
      ...[name, number(ours), number(baseline), unit, number(ratio), goal, met ? 'yes' : 'no'],
    ]),
  );

const say = (text: string): void => void process.stderr.write(`${text}\n`);

const load = (): string =>
  loadavg()
    .map((each) => each.toFixed(1))
    .join(' ');

const readOptions = () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      small: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [name = '', ...more] = positionals;
  const chosen = benchmarks.filter((one) => one.name.includes(name));
  if (more.length > 0) throw new TypeError('it takes one NAME');
  if (chosen.length === 0)
    throw new TypeError(
      `no row is called "${name}"; there are: ${benchmarks.map((one) => one.name).join('; ')}`,
    );
  return { ...values, chosen };
};

let options: ReturnType<typeof readOptions>;
try {
  options = readOptions();
} catch (error) {
  say(`ka: ${error instanceof Error ? error.message : error}\n${usage}`);
  process.exit(2);
}
const { chosen, json, small, help } = options;
if (help) process.stdout.write(usage);
else {
  const results: Result[] = [];
  for (const benchmark of chosen) {
    say(`· ${benchmark.name} (load ${load()})`);
    results.push(judge(benchmark, await benchmark.measure(small ? smallScale : wholeScale)));
  }
  process.stdout.write(json ? `${JSON.stringify(results, null, 2)}\n` : `${tableOf(results)}\n`);
}
