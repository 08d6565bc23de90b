import { describe, expect, it } from 'vitest';
import { coordinator, type NewEvent } from '../../schemas/events.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import { withWords } from '../daemon/with-words.ts';
import { decide } from '../decider/decide.ts';
import { historyOf, succeeded, until } from '../testing/history.ts';
import { auditOf } from './audit.ts';
import { replayCheck } from './replay.ts';

/** An iteration that closes, with the texts of its record request changed by `reword`. */
const closedWith = (reword: (text: string, path: string) => string) => {
  const history = historyOf(...until('record'));
  for (let [event] = decide({ do: 'Advance' }, history.state); event?.type !== 'RecordRequested'; ) {
    if (!event) throw new Error('nothing asks for the record');
    history.append(coordinator, event);
    [event] = decide({ do: 'Advance' }, history.state);
  }
  const [asked] = decide({ do: 'Advance' }, history.state);
  if (!asked) throw new Error('nothing asks for the record');
  const { data, ...envelope }: NewEvent = withWords(asked, history.state);
  const { host, request } = data as { host: string; request: StepRequest<'record'> };
  const files = request.files.map(({ path, content }) => ({
    path,
    content: { ...content, text: reword(content.text, path) },
  }));
  const { sequence } = history.append(coordinator, {
    ...envelope,
    data: { host, request: { ...request, files } },
  });
  history.settle();
  succeeded('record')(history);
  history.settle();
  return { sequence, events: history.events, audit: auditOf(history.iteration(), history.events) };
};

describe('an audit', () => {
  it('has no notes if this version’s own texts were recorded', () => {
    const { audit } = closedWith((text) => text);
    expect(audit).toMatchObject({ status: 'closed', notes: [] });
  });

  it('notes a document that does not follow from the facts, whoever signed it', () => {
    const { plan } = historyOf(...until('land')).iteration();
    const { sequence, events, audit } = closedWith((text, path) =>
      path === plan.close.document ? text.replace('## Clauses', '## All clauses pass') : text,
    );
    expect(audit.notes).toEqual([
      {
        sequence,
        file: plan.close.document,
        line: expect.any(Number),
        found: '## All clauses pass',
        expected: '## Clauses',
      },
    ]);
    // It is only a note: neither verdicts nor decisions depend on the text.
    expect(audit.clauses.map(({ verdict }) => verdict)).toEqual(audit.clauses.map(() => 'PASS'));
    expect(replayCheck(events).mismatches).toEqual([]);
  });

  it('notes where a text ends before today’s, or goes on after it', () => {
    const longer = closedWith((text) => `${text}\nand more`).audit.notes;
    expect(longer.map(({ found, expected }) => [found, expected])).toContainEqual(['and more', null]);
    const shorter = closedWith((text) => text.split('\n')[0] ?? '').audit.notes;
    expect(shorter[0]).toMatchObject({ line: 2, found: null, expected: '' });
  });
});
