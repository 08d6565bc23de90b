import pc from 'picocolors';
import { type OutputLine, type OutputReports, readOutput } from '../../eventlog/live/output.ts';
import { trustNow } from '../../eventlog/signing/trust.ts';
import type { KaEvent } from '../../schemas/events.ts';
import { printable, printableOutput, styledLines } from '../../schemas/printable.ts';
import type { Session } from '../commands/session.ts';
import { evolve } from '../decider/evolve.ts';
import { type Iteration, initialState, isAskedFor, type State } from '../decider/state.ts';
import { eventLine } from './event-line.ts';
import { createShown, createTrouble, cutSentence } from './follower.ts';
import { spokenSeconds } from './markdown.ts';
import { progress, type StepProgress, waitsFor } from './progress.ts';

const marks: Record<StepProgress['status'], string> = {
  pending: pc.dim('·'),
  open: pc.yellow('▸'),
  succeeded: pc.green('✓'),
  failed: pc.red('✗'),
  superseded: pc.dim('↷'),
};

const clockTime = (time: string): string => time.slice(11, 19);

/** Cuts a line to the terminal's width. */
const cut = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, width - 1)}…`;

/** The view of an iteration's steps. @param lastLine each step's newest line of output. @param now ms since 1970. */
export const draw = (
  iteration: Iteration,
  state: State,
  lastLine: ReadonlyMap<string, string>,
  now: number,
  width: number,
): string => {
  const rows = progress(iteration).map((row) => {
    const seconds =
      row.seconds ?? (row.status === 'open' && row.since ? (now - row.since) / 1000 : undefined);
    const took = row.step === 'review' || seconds === undefined ? '' : spokenSeconds(Math.max(seconds, 0));
    const head = `${marks[row.status]} ${row.step.padEnd(10)} ${row.host.padEnd(12)} ${took.padStart(11)}`;
    const tail = printable(row.remark) || (row.status === 'open' ? (lastLine.get(row.step) ?? '') : '');
    return `${head}  ${pc.dim(cut(tail, Math.max(width - 42, 20)))}`;
  });
  const title = `${pc.bold(iteration.name)}  ${printable(iteration.plan.title)}`;
  const waiting = printable(waitsFor(iteration, state));
  return [title, ...rows, ...(waiting ? [pc.dim(cut(`waits for ${waiting}`, width))] : [])].join('\n');
};

/** The last lines that a failed step printed; the event's own line shows the reason. */
const failureOf = (event: KaEvent): string[] =>
  event.kind === 'step' && event.fact === 'Failed' ? event.data.output : [];

/**
 * Shows an iteration live until it ends: on a terminal as a view of its steps, otherwise as one line per event.
 * @param out where to write: standard error if standard output carries a JSON document.
 * @param onEvent called after each event, with the iteration after it.
 */
export const watchIteration = async (
  session: Session,
  name: string,
  out: NodeJS.WriteStream,
  onEvent: (iteration: Iteration) => void = () => undefined,
): Promise<{ iteration: Iteration; state: State }> => {
  const live = out.isTTY === true;
  // Loaded on demand: it takes longer than a command that only reads the log.
  const view = (await import('log-update')).createLogUpdate(out);
  const stop = new AbortController();
  const lastLine = new Map<string, string>();
  let state: State = initialState;
  const show = () => {
    const iteration = state.iterations.get(name);
    if (live && iteration) view(draw(iteration, state, lastLine, Date.now(), out.columns ?? 80));
  };
  const redraw = live ? setInterval(show, 250) : undefined;
  const onLine = ({ step, line }: OutputLine) => void lastLine.set(step, printableOutput(line));
  const isAsked: OutputReports['isAsked'] = (of) => isAskedFor(state.iterations.get(name), of);
  if (live)
    void readOutput(
      session.connection,
      trustNow(session.fleet),
      { iteration: name },
      { follow: true, fromNow: true, signal: stop.signal, isAsked },
      onLine,
    ).catch(() => undefined); // the view is useful even without the last line of output
  // A retry may have followed an end that comes before this sequence.
  const part = await session.log.partOf(name);
  let present = part.messages.at(-1)?.sequence ?? 0;
  const isNew = createShown();
  const tell = (text: string) => {
    if (live) view.clear();
    out.write(`${styledLines(text)}\n`);
  };
  const onCut = (lastSequence: number) => {
    state = initialState;
    present = lastSequence;
    tell(cutSentence);
  };
  const stopIfEnded = (iteration: Iteration | undefined) => {
    if (!iteration?.ended || state.sequence < present) return;
    show();
    stop.abort();
  };
  try {
    const onTrouble = createTrouble(tell);
    await session.log.follow({ part, signal: stop.signal, onCut, onTrouble }, (logged) => {
      state = evolve(state, logged);
      const iteration = state.iterations.get(name);
      if (!iteration || logged.event.iteration !== name || !isNew(logged)) return stopIfEnded(iteration);
      if (!live) out.write(`${clockTime(logged.event.time)} ${name} ${eventLine(logged.event)}\n`);
      const failure = failureOf(logged.event);
      if (failure.length > 0) tell(failure.map((line) => `    ${printableOutput(line)}`).join('\n'));
      onEvent(iteration);
      stopIfEnded(iteration);
    });
  } finally {
    clearInterval(redraw);
    if (live) view.done();
  }
  const iteration = state.iterations.get(name);
  if (!iteration) throw new Error(`the log holds no ${name}`);
  return { iteration, state };
};
