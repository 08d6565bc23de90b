import { describe, expect, it } from 'vitest';
import { logOrigin, signCheckpoint } from '../../eventlog/tree/checkpoint.ts';
import { isWithheld, LogTree } from '../../eventlog/tree/log-tree.ts';
import { coordinator, noIteration } from '../../schemas/events.ts';
import { replayCheck } from '../reading/replay.ts';
import { verifyLog } from '../reading/verify-log.ts';
import { exampleFleet, examplePlan, exampleTrust } from '../testing/example-plan.ts';
import { answerOf, createHistory, type History, startOf } from '../testing/history.ts';
import { testKey } from '../testing/test-key.ts';
import { eventsMember, isBad, readEventRecords } from './event-records.ts';
import { derivedParts, exportedAt, exportIteration } from './export-iteration.ts';
import { withheldIn } from './read-export.ts';

const { fleet } = exampleFleet;
const other = examplePlan((plan) => {
  plan.iteration = 'other';
});

/** Two people ask for one board, and the second is refused. */
const refusedSecond = (): History => {
  const history = createHistory();
  const data = { role: 'board', version: '1', bootId: 'b', release: 'r', package: null };
  history.append('fresnel', { type: 'AgentStarted', iteration: noIteration, attempt: 1, data });
  const plan = examplePlan();
  history.command(startOf(plan));
  history.command(startOf(other));
  history.decideOnce(answerOf(plan));
  history.decideOnce(answerOf(other));
  history.settle();
  return history;
};

/** Appends a checkpoint over the whole history for a host, if one is due there. @returns whether it was. */
const checkpoint = (history: History): boolean => {
  const tree = new LogTree();
  for (const message of history.events) tree.add({ signature: '', ...message });
  const { size } = tree;
  const root = tree.rootAt(size);
  const note = signCheckpoint(logOrigin(fleet, 1), { size, root }, testKey(coordinator));
  const told = {
    host: 'fresnel',
    size,
    root: Buffer.from(root).toString('base64'),
    note,
    from: 0,
    proof: [],
  };
  return history.decideOnce({ do: 'Checkpoint', ...told });
};

const exported = ({ events }: History, name: string) =>
  exportIteration(
    fleet,
    name,
    events.map((message) => ({ signature: '', ...message })),
    events,
    async () => ({ lacks: 'nothing was put aside' }),
  );

describe('the export of a start that was refused', () => {
  it('waits for a checkpoint over the refusal', async () => {
    const history = refusedSecond();
    await expect(exported(history, 'other')).rejects.toThrow(/no checkpoint covers the refusal of other yet/);
    await expect(exported(history, 'iter5')).rejects.toThrow(/iter5 is under way/);
    await expect(exported(history, 'iter6')).rejects.toThrow('there is no iteration "iter6"');
  });

  it('is possible as soon as the coordinator has told a host a checkpoint, whatever the other iteration does', () => {
    const history = refusedSecond();
    expect(checkpoint(history)).toBe(true);
    expect(checkpoint(history)).toBe(false);
  });

  it('holds its events and its answer, and only the hashes of another iteration', async () => {
    const history = refusedSecond();
    checkpoint(history);
    const parts = await exported(history, 'other');
    expect(parts.map(({ name }) => name)).toEqual([eventsMember, 'checkpoint.txt', 'report.md']);
    const [events, , report] = parts.map(({ bytes }) => Buffer.from(bytes));
    expect(report?.toString()).toMatch(
      /^# other: .*\n\nAsked for by mfritsche at .*, refused at .*: iter5 is under way on fresnel, /,
    );

    const { header, records } = readEventRecords(events ?? Buffer.of());
    const all = [...records];
    expect(verifyLog(exampleTrust, { header, records: all })).toMatchObject({
      faults: [],
      withheld: ['iter5'],
    });
    const shown = all.flatMap((record) => (isBad(record) || isWithheld(record) ? [] : [record.sequence]));
    const own = history.events.filter(({ sequence }) => shown.includes(sequence));
    expect(own.map(({ event }) => event.type)).toEqual([
      'AgentStarted',
      'IterationStarted',
      'IterationRefused',
    ]);
    // It is decided again as far as possible: it is taken as given that the board was busy.
    const withheld = withheldIn(all);
    expect([...withheld]).toEqual(['iter5']);
    expect(replayCheck(own, withheld)).toMatchObject({
      mismatches: [],
      notes: [
        {
          type: 'IterationRefused',
          why: expect.stringMatching(/^it depends on iter5, shown only as hashes/),
        },
      ],
    });
    expect(replayCheck(own).mismatches).toHaveLength(1);
    // The other members can be made again from these events.
    const again = exportedAt(own, 'other');
    if (!again || isBad(header)) throw new Error('it shows nothing');
    expect(derivedParts(fleet, again, own, header.note)).toEqual(parts.slice(1));
  });
});
