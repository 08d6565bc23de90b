import { describe, expect, it } from 'vitest';
import { logOrigin, signCheckpoint } from '../../eventlog/tree/checkpoint.ts';
import { isWithheld, LogTree } from '../../eventlog/tree/log-tree.ts';
import { coordinator, noIteration } from '../../schemas/events.ts';
import { verifyLog } from '../reading/verify-log.ts';
import { exampleFleet, examplePlan, exampleTrust } from '../testing/example-plan.ts';
import { abort, answerOf, createHistory, type History, startOf } from '../testing/history.ts';
import { testKey } from '../testing/test-key.ts';
import { isBad, readEventRecords } from './event-records.ts';
import { derivedParts, eventsMember, exportedAt, exportIteration } from './export-iteration.ts';

const { fleet } = exampleFleet;
const other = examplePlan((plan) => {
  plan.iteration = 'other';
});

/** Two people ask for one board: the second is refused, and the first one's iteration is aborted. */
const refusedSecond = (): History => {
  const history = createHistory();
  const plan = examplePlan();
  history.command(startOf(plan));
  history.command(startOf(other));
  history.decideOnce(answerOf(plan));
  history.decideOnce(answerOf(other));
  history.settle();
  return history;
};

/** Appends a checkpoint over the whole history, as the coordinator tells it to a host. */
const checkpoint = (history: History): void => {
  const tree = new LogTree();
  for (const message of history.events) tree.add({ signature: '', ...message });
  const { size } = tree;
  const root = tree.rootAt(size);
  const note = signCheckpoint(logOrigin(fleet, 1), { size, root }, testKey(coordinator));
  const [host, attempt] = ['fresnel', 1];
  const data = { host, size, root: Buffer.from(root).toString('base64'), note, from: 0, proof: [] };
  history.append(coordinator, { type: 'Checkpointed', iteration: noIteration, attempt, host, data });
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

  it('holds its events and its answer, and only the hashes of another iteration', async () => {
    const history = refusedSecond();
    history.command(abort);
    history.settle();
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
    expect(own.map(({ event }) => event.type)).toEqual(['IterationStarted', 'IterationRefused']);
    // The other members can be made again from these events.
    const again = exportedAt(own, 'other');
    if (!again || isBad(header)) throw new Error('it shows nothing');
    expect(derivedParts(fleet, again, own, header.note)).toEqual(parts.slice(1));
  });
});
