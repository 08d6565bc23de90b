import fc from 'fast-check';
import { ledger } from '../../coordinator/commands/proof-commands.ts';
import { standing } from '../../coordinator/commands/standing.ts';
import { columns } from '../../coordinator/commands/table.ts';
import { evolve } from '../../coordinator/decider/evolve.ts';
import { initialState, type State } from '../../coordinator/decider/state.ts';
import { auditOf } from '../../coordinator/reading/audit.ts';
import { eventLine } from '../../coordinator/reading/event-line.ts';
import { draw } from '../../coordinator/reading/watch.ts';
import { historyOf, until } from '../../coordinator/testing/history.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { parseEvent } from '../../schemas/events.ts';
import {
  printable,
  printableJson,
  printableLines,
  printableOutput,
  styledLines,
} from '../../schemas/printable.ts';
import { pureTarget } from './fuzz-target.ts';
import { hostileText } from './hostile.ts';
import { expectPrintable } from './terminal-text.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: what picocolors prints
const ownStyle = /\u001b\[(?:0|1|2|22|3[1-3]|39)m/g;

// biome-ignore lint/suspicious/noControlCharactersInRegex: the last check allows any style
const anyStyle = /\u001b\[\d{1,2}m/g;

/** Checks that every line of our output holds only our own colours, and nothing else on which a terminal acts. */
const expectStyled = (text: string): void => {
  for (const line of text.split('\n')) expectPrintable(line.replaceAll(ownStyle, ''));
};

/** Replaces the strings of a document by the results of `by`, one after the other. */
const withTexts = (value: unknown, by: () => string | undefined): unknown => {
  if (typeof value === 'string') return by() ?? value;
  if (Array.isArray(value)) return value.map((inner) => withTexts(inner, by));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withTexts(inner, by)]));
};

/**
 * What people are shown of a log, of output and of files: whatever others wrote, a terminal only gets printable text.
 */
export const terminal = pureTarget('terminal', 40, () => {
  const { events } = historyOf(...until('close'));
  const states: State[] = [initialState];
  for (const logged of events) states.push(evolve(states.at(-1) ?? initialState, logged));
  const failure = { fault: 'work', reason: 'x', output: ['x', 'y'], begun: ['x'] };
  const fieldsOf = (value: unknown): number => JSON.stringify(value).match(/"/g)?.length ?? 0;
  const event = fc.nat(events.length - 1).chain((at) => {
    const { event: whole } = events[at] as LoggedEvent;
    const isOutcome = whole.kind === 'step' && whole.fact === 'Succeeded';
    return fc.record({
      at: fc.constant(at),
      fails: fc.boolean().map((fails) => fails && isOutcome),
      from: fc.nat(fieldsOf(whole.data)),
      texts: fc.array(hostileText, { minLength: 1, maxLength: 3 }),
    });
  });
  return {
    input: event,
    hold: ({ at, fails, from, texts }) => {
      for (const text of texts) {
        expectPrintable(printable(text));
        expectPrintable(printableOutput(text));
        expectStyled(printableLines(text));
        expectStyled(styledLines(text).replaceAll(anyStyle, ''));
        expectPrintable(printableJson({ [text]: text }));
        if (JSON.parse(printableJson(text)) !== JSON.parse(JSON.stringify(text)))
          throw new Error('its JSON is another text');
        expectStyled(columns(['a', printable(text)], [[printable(text), 'b']]));
      }
      const logged = events[at] as LoggedEvent;
      let field = 0;
      const put = (value: unknown) =>
        withTexts(value, () => {
          field += 1;
          return field > from ? texts[field - from - 1] : undefined;
        });
      const {
        kind: _kind,
        step,
        fact: _fact,
        ...envelope
      } = logged.event as LoggedEvent['event'] & { step?: string; fact?: string };
      const type = fails ? envelope.type.replace('Succeeded', 'Failed') : envelope.type;
      const id = `${envelope.iteration}.${type}.${envelope.attempt}`;
      const document = { ...envelope, id, type, data: put(fails ? failure : envelope.data) };
      let shown: LoggedEvent['event'];
      const bytes = new TextEncoder().encode(JSON.stringify(document));
      try {
        shown = parseEvent(bytes);
      } catch {
        return; // an invalid name: it is refused
      }
      expectPrintable(eventLine(shown));
      const state = evolve(states[at] ?? initialState, { ...logged, bytes, event: shown });
      for (const iteration of state.iterations.values()) {
        if (from % 3 === 0) expectStyled(standing(iteration, state));
        else if (from % 3 === 1) expectStyled(ledger(auditOf(iteration, events)));
        else
          expectStyled(
            draw(iteration, state, new Map([[step ?? 'build', printableOutput(texts[0] ?? '')]]), 0, 80),
          );
      }
    },
  };
});
