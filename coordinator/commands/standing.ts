import pc from 'picocolors';
import { printable } from '../../schemas/printable.ts';
import type { Iteration, State } from '../decider/state.ts';
import { verdictsOf } from '../decider/verdicts.ts';
import { endingWords } from '../reading/english/reasons.ts';
import { refusalWords } from '../reading/english/refusals.ts';
import { goBackWords } from '../reading/event-line.ts';
import { spokenSeconds } from '../reading/markdown.ts';
import { progress, type StepProgress, waitsFor } from '../reading/progress.ts';
import { columns } from './table.ts';

/** The state of an iteration, as one JSON document. */
export interface Summary {
  iteration: string;
  title: string;
  board: string;
  status: string;
  /** Why it ended; null while it has not. */
  because: string | null;
  waitsFor: string;
  started: string;
  ended: string | null;
  steps: Omit<StepProgress, 'since'>[];
  clauses: { id: string; verdict: string }[];
}

export const summary = (iteration: Iteration, state: State): Summary => ({
  iteration: iteration.name,
  title: iteration.plan.title,
  board: iteration.plan.board,
  status: iteration.ended?.status ?? 'running',
  because: iteration.ended ? endingWords(iteration.ended) : null,
  waitsFor: waitsFor(iteration, state),
  started: iteration.started.time,
  ended: iteration.ended?.time ?? null,
  steps: progress(iteration).map(({ since: _since, ...row }) => row),
  clauses: verdictsOf(iteration).map(({ id, verdict }) => ({ id, verdict })),
});

/** The starts that are no iterations: the coordinator has refused them, or has not answered yet. */
export const unaccepted = (state: State): Summary[] =>
  [...state.starts].flatMap(([name, { open, refused }]): Summary[] => {
    if (state.iterations.has(name)) return [];
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
export const standings = (all: readonly Summary[]): string =>
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
