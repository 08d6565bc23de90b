import { describe, expect, it, vi } from 'vitest';
import { foldLog } from '../coordinator/commands/session.ts';
import { withWords } from '../coordinator/daemon/with-words.ts';
import { decide } from '../coordinator/decider/decide.ts';
import { evolve } from '../coordinator/decider/evolve.ts';
import { initialState } from '../coordinator/decider/state.ts';
import { auditOf } from '../coordinator/reading/audit.ts';
import { clauseWords } from '../coordinator/reading/english/check-faults.ts';
import { replayCheck } from '../coordinator/reading/replay.ts';
import { historyNames, readHistory } from '../coordinator/testing/recorded-history.ts';
import type { NewEvent } from '../schemas/events.ts';
import { withoutWords } from '../schemas/rendered.ts';
import type { StepRequest } from '../schemas/steps.ts';

// Another language replaces the English: it renders only the codes of the facts.
const { inCodes } = vi.hoisted(() => {
  const codesIn = (facts: unknown): string[] => {
    if (typeof facts !== 'object' || facts === null) return [];
    return Object.entries(facts).flatMap(([key, value]) =>
      (key === 'code' || key === 'how') && typeof value === 'string' ? [value] : codesIn(value),
    );
  };
  const say = (...facts: unknown[]) => `<${codesIn(facts).join(' ')}>`;
  return {
    inCodes: async (importOriginal: () => Promise<object>) =>
      Object.fromEntries(Object.keys(await importOriginal()).map((name) => [name, say])),
  };
});
vi.mock('../coordinator/reading/english/check-faults.ts', inCodes);
vi.mock('../coordinator/reading/english/fell-back.ts', inCodes);
vi.mock('../coordinator/reading/english/reasons.ts', inCodes);
vi.mock('../coordinator/reading/english/refusals.ts', inCodes);

/** A history's record requests, each with the request that is decided again now, in this language. */
const recordsOf = (name: string) => {
  let state = initialState;
  const records: { found: NewEvent; again: NewEvent }[] = [];
  for (const logged of readHistory(name).events) {
    const { type, iteration, attempt, data } = logged.event;
    const isRecord = (event: NewEvent) => event.type === 'RecordRequested' && event.iteration === iteration;
    const found = { type, iteration, attempt, data } as NewEvent;
    if (isRecord(found)) {
      const decided = decide({ do: 'Advance' }, state).find(isRecord);
      if (!decided) throw new Error(`nothing asks for the record of ${name} at ${logged.sequence}`);
      records.push({ found, again: withWords(decided, state) });
    }
    state = evolve(state, logged);
  }
  return records;
};
const documentIn = ({ data }: NewEvent) => {
  const { request } = data as { request: StepRequest<'record'> };
  return request.files.find(({ content }) => content.as === 'close-document')?.content;
};

const names = historyNames();
const recorded = names.filter((name) => recordsOf(name).length > 0);

describe('in a language of nothing but codes', () => {
  it('a fault is rendered by its code', () => {
    const faults = [{ code: 'no-evidence', step: 'sweep' }] as const;
    expect(clauseWords({ faults })).toBe('<no-evidence>');
  });

  it.each(names)('%s is decided as it was', (name) => {
    const { mismatches, unjudged } = replayCheck(readHistory(name).events);
    expect(mismatches).toEqual([]);
    expect(unjudged).toBe(0);
  });

  it('some histories hold a record', () => {
    expect(recorded).toContain('closed');
  });

  it.each(recorded)('%s has another close document from the same facts, and its audit notes that', (name) => {
    for (const { found, again } of recordsOf(name)) {
      expect(documentIn(again)?.text).not.toBe(documentIn(found)?.text);
      expect(documentIn(again)?.facts).toBe(documentIn(found)?.facts);
      expect(withoutWords(again.data)).toEqual(withoutWords(found.data));
    }
    const { events } = readHistory(name);
    const iteration = foldLog(events).iterations.get(name);
    if (!iteration) throw new Error(`there is no iteration ${name}`);
    expect(auditOf(iteration, events).notes.map(({ file }) => file)).toContain(iteration.plan.close.document);
  });
});
