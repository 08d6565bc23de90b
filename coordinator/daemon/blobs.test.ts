import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { readJournalBlob, readJournalMessages } from '../../agents/runtime/journal/read-journal.ts';
import type { SealedEvent } from '../../eventlog/signing/seal.ts';
import { putBlob } from '../../eventlog/stream/blobs.ts';
import { appendEvent } from '../../eventlog/stream/event-log.ts';
import { blobStream } from '../../eventlog/stream/provision.ts';
import { type LoggedEvent, noIteration, personWriter } from '../../schemas/events.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { cutTail, people, until } from '../../test/log-server.ts';
import { verify } from '../commands/export-command.ts';
import { addRestoreCommand } from '../commands/restore-command.ts';
import type { Iteration, State } from '../decider/state.ts';
import { blobMember } from '../export/event-records.ts';
import { writeArchive } from '../export/export-archive.ts';
import { exportIteration } from '../export/export-iteration.ts';
import { replayCheck } from '../reading/replay.ts';
import { goodEvidence } from '../testing/example-evidence.ts';
import { type PlayedFleet, startPlayedFleet } from '../testing/played-fleet.ts';

const iteration = 'iter5';
let played: PlayedFleet;
beforeEach(async () => {
  played = await startPlayedFleet();
});
afterEach(async () => {
  vi.restoreAllMocks();
  process.exitCode = 0;
  await played.stop();
});

/** Three megabytes of a preflight's evidence. */
const usedBy = Array.from({ length: 15_000 }, (_, n) => `${n}-${'x'.repeat(190)}.c`);
const evidenceOf = (one: Iteration, step: StepName) => {
  const evidence = goodEvidence(one, step);
  if (step !== 'preflight') return evidence;
  const { symbols, ...rest } = evidence as { symbols: object[] };
  return { ...rest, symbols: symbols.map((symbol, index) => (index === 0 ? { ...symbol, usedBy } : symbol)) };
};

/** Starts a host: it is then told a checkpoint, which an export needs. */
const startHost = () => {
  const data = { role: 'board' as const, version: '1', bootId: 'b', release: 'r', package: null };
  return played.say('fresnel', { type: 'AgentStarted', iteration: noIteration, attempt: 1, data });
};
const isClosed = (state: State) => state.iterations.get(iteration)?.ended?.status === 'closed';
const preflightOf = (events: readonly LoggedEvent[]) => {
  const found = events.find(({ event }) => event.type === 'PreflightSucceeded');
  if (!found) throw new Error('nothing was seen by a preflight');
  return found;
};
const seenBy = ({ event }: LoggedEvent) =>
  (event.data as { evidence: { symbols: { usedBy: string[] }[] } }).evidence.symbols[0]?.usedBy;

/** `ka audit --verify --from`. @returns what it found wrong. */
const faultsOf = async (file: string): Promise<{ why: string }[]> => {
  const { log } = played;
  let printed = '';
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  await verify({ from: file, fleet: log.fleetFile, json: true }, { candidates: [] });
  spy.mockRestore();
  return (JSON.parse(printed) as { faults: { why: string }[] }).faults;
};

it('evidence of three megabytes goes through a fleet, is exported, lost, and restored', async () => {
  const { log, person, read } = played;
  const copy = join(log.folder, 'state/log.db');
  const one = await played.startCoordinator({ copyFile: copy });
  await startHost();
  await played.start(iteration);
  await played.play(iteration, isClosed, { evidenceOf });
  expect(one.told.filter((text) => text.includes('ALARM'))).toEqual([]);
  await until(async () => (await read()).events.some(({ event }) => event.type === 'Checkpointed'));
  const before = await read();
  expect(preflightOf(before.events).bytes.length).toBeLessThan(256 * 1024);
  expect(seenBy(preflightOf(before.events))).toEqual(usedBy);
  expect(replayCheck(before.events).mismatches).toEqual([]);

  const file = join(log.folder, 'iter5.tar');
  const parts = await exportIteration(
    log.fleet.fleet,
    iteration,
    before.messages,
    before.events,
    before.readBlob,
  );
  const blobs = parts.filter(({ name }) => name.startsWith(blobMember('')));
  expect(blobs).toHaveLength(1);
  await writeArchive(file, parts);
  expect(await faultsOf(file)).toEqual([]);
  const without = join(log.folder, 'without.tar');
  await writeArchive(
    without,
    parts.filter((part) => !blobs.includes(part)),
  );
  expect((await faultsOf(without))[0]?.why).toContain('which is not there');
  const [blob] = blobs;
  const changed = { name: blob?.name ?? '', bytes: Buffer.from(JSON.stringify(usedBy.toReversed())) };
  await writeArchive(without, [...parts.filter((part) => part !== blob), changed], { overwrite: true });
  expect((await faultsOf(without))[0]?.why).toContain('is not what that says');

  await one.stop();
  await log.server.kill('SIGKILL');
  cutTail(join(log.folder, 'nats'), 0.5, blobStream);
  await log.server.restart();
  await until(() => person.rtt().catch(() => undefined));
  const cut = await until(() => read().catch(() => undefined));
  expect(cut.lacks).toEqual([preflightOf(before.events).subject]);
  expect(cut.events).toHaveLength(before.events.length);
  await expect(
    exportIteration(log.fleet.fleet, iteration, cut.messages, before.events, cut.readBlob),
  ).rejects.toThrow("can't be read");

  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const config = join(log.folder, 'operator.yaml');
  const identities = { [people[0]]: log.keyFile(personWriter(people[0])) };
  writeFileSync(
    config,
    JSON.stringify({ fleetFile: log.fleetFile, nats: { servers: [log.server.url] }, identities }),
  );
  const program = new Command().option('--config <file>').exitOverride();
  addRestoreCommand(
    program,
    { candidates: [config] },
    {
      sourcesOf: () => ({ copy, journals: {}, adminSeed: log.keyFile('admin') }),
      journals: { messages: readJournalMessages, blob: readJournalBlob },
    },
  );
  const saved = join(log.folder, 'saved.jsonl');
  await program.parseAsync(['restore', '--as', people[0], '--write', '--save', saved], { from: 'user' });
  expect(existsSync(saved) && readFileSync(saved).length).toBeGreaterThan(0);
  const after = await read();
  expect(after.lacks).toEqual([]);
  expect(seenBy(preflightOf(after.events))).toEqual(usedBy);
});

it('an outcome whose evidence is missing is reported, and decided on once the evidence is there', async () => {
  const { log, read } = played;
  const one = await played.startCoordinator();
  await played.start(iteration);
  let late: { host: string; sealed: SealedEvent } | undefined;
  const withoutBlobs = async (host: string, sealed: SealedEvent) => {
    if (sealed.blobs.length > 0) late = { host, sealed };
    await appendEvent(await played.wire(host), { ...sealed, blobs: [] });
  };
  // The host sends an outcome without its blobs.
  await played.play(iteration, () => late !== undefined, { evidenceOf, append: withoutBlobs });
  const { host, sealed } = late as unknown as { host: string; sealed: SealedEvent };
  await until(() => one.told.some((text) => text.includes('is not whole')));
  const held = (await read()).events.length;
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  expect((await read()).events).toHaveLength(held);
  const alarms = one.told.filter((text) => text.includes('ALARM'));
  expect(alarms).toHaveLength(1);
  expect(alarms[0]).toContain(`ALARM: ${host}'s PreflightSucceeded of ${iteration}`);
  expect(alarms[0]).toContain(`blob ${sealed.blobs[0]?.sha256}`);
  for (const blob of sealed.blobs)
    await putBlob(await played.wire(host), { fleet: log.fleet.fleet, writer: host }, blob);
  await played.play(iteration, isClosed, { evidenceOf });
  expect(replayCheck((await read()).events).mismatches).toEqual([]);
  await one.stop();
  expect(one.told.filter((text) => text.includes('ALARM'))).toHaveLength(1);
  expect(one.told.filter((text) => text.includes('log was cut'))).toEqual([]);
});
