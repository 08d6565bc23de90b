import pc from 'picocolors';
import { printable } from '../../schemas/printable.ts';
import type { Iteration, State } from '../decider/state.ts';
import { endingWords } from '../reading/english/reasons.ts';
import { refusalWords } from '../reading/english/refusals.ts';
import { goBackWords } from '../reading/event-line.ts';
import type { LogStanding } from '../reading/kept-log.ts';
import { spokenSeconds } from '../reading/markdown.ts';
import { progress, waitsFor } from '../reading/progress.ts';
import { type Summary, type SummaryLine, summary } from '../reading/summary.ts';
import { columns } from './table.ts';

/** The starts that are no iterations: the coordinator has refused them, or has not answered yet. */
const unaccepted = (state: State): Summary[] =>
  [...state.starts].flatMap(([name, { open, refused }]): Summary[] => {
    if (state.iterations.has(name) || state.ended.has(name)) return [];
    const [asked] = open;
    const known = { iteration: name, steps: [], clauses: [] };
    if (asked)
      return [
        {
          ...known,
          title: asked.plan.title,
          board: asked.plan.board,
          status: 'asked',
          because: null,
          waitsFor: 'the coordinator',
          started: asked.time,
          ended: null,
        },
      ];
    if (!refused) return [];
    const { title, board, reason, started, time } = refused;
    const because = refusalWords(name, reason);
    return [
      {
        ...known,
        title,
        board,
        status: 'refused',
        because,
        waitsFor: '',
        started: started.time,
        ended: time,
      },
    ];
  });

/** Every iteration, in the order in which they were started, and then the starts that are no iterations. */
export const summaries = ({ state, shown }: Pick<LogStanding, 'state' | 'shown'>): SummaryLine[] => {
  const ended = [...shown].map(([name, of]) => ({ at: state.ended.get(name)?.started.sequence ?? 0, of }));
  const others = [...state.iterations.values()].map((one) => ({
    at: one.started.sequence,
    of: summary(one, state),
  }));
  return [
    ...ended
      .concat(others)
      .sort((a, b) => a.at - b.at)
      .map(({ of }) => of),
    ...unaccepted(state),
  ];
};

/** The state of an iteration, as people read it. */
export const standing = (iteration: Iteration, state: State): string => {
  const { name, plan, ended } = iteration;
  return [
    `${pc.bold(name)}  ${printable(plan.title)}: ${ended?.status ?? 'running'}`,
    columns(
      ['step', 'status', 'host', 'attempt', 'took', ''],
      progress(iteration).map(({ step, status, host, attempt, seconds, remark }) => [
        step,
        status,
        host,
        attempt ? String(attempt) : '',
        seconds === undefined ? '' : spokenSeconds(seconds),
        printable(remark),
      ]),
    ),
    printable(ended ? `${ended.status}: ${endingWords(ended)}` : `waits for ${waitsFor(iteration, state)}`),
    ...(ended?.status === 'failed' ? [printable(`go back to: ${goBackWords(plan.goBack)}`)] : []),
  ].join('\n');
};

/** A line for each iteration. */
export const standings = (all: readonly SummaryLine[]): string =>
  columns(
    ['iteration', 'status', 'board', 'started', ''],
    all.map(({ iteration, status, board, started, waitsFor: waits, because }) => [
      iteration,
      status,
      board,
      started,
      printable(because ?? `waits for ${waits}`),
    ]),
  );
