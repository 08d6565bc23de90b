import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { logOrigin, signCheckpoint } from '../../eventlog/tree/checkpoint.ts';
import { LogTree } from '../../eventlog/tree/log-tree.ts';
import { coordinator, noIteration } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import { eventsMember } from '../export/event-records.ts';
import { type ArchivePart, writeArchive } from '../export/export-archive.ts';
import { exportIteration } from '../export/export-iteration.ts';
import { goodEvidence } from '../testing/example-evidence.ts';
import { exampleFleet } from '../testing/example-plan.ts';
import { historyOf, succeeded, until } from '../testing/history.ts';
import { testKey } from '../testing/test-key.ts';
import { verify } from './export-command.ts';
import { addProofCommands } from './proof-commands.ts';

const { fleet } = exampleFleet;
const folder = mkdtempSync(join(tmpdir(), 'ka-export-'));
const fleetFile = join(folder, 'fleet.yaml');
let parts: ArchivePart[];

beforeAll(async () => {
  process.exitCode = 0;
  writeFileSync(fleetFile, JSON.stringify(exampleFleet));
  // One row differs from the plan and one is incomplete, so that every document has reasons.
  const history = historyOf(
    ...until('sweep'),
    succeeded('sweep', (it) => {
      const evidence = goodEvidence(it, 'sweep');
      const hash = sha256('other bytes');
      const table = evidence.table.flatMap((cell) => {
        if (cell.path !== 'libva') return cell;
        return cell.row === 'h264' ? { ...cell, sha256: hash, hashes: [hash, hash] } : [];
      });
      return { ...evidence, table };
    }),
    succeeded('rollback'),
    (all) => all.settle(),
  );
  const tree = new LogTree();
  const messages = history.events.map((message) => ({ signature: '', ...message }));
  for (const message of messages) tree.add(message);
  const head = { size: tree.size, root: tree.rootAt(tree.size) };
  const note = signCheckpoint(logOrigin(fleet, 1), head, testKey(coordinator));
  const root = Buffer.from(head.root).toString('base64');
  const data = { host: 'fresnel', size: head.size, root, note, from: 0, proof: [] };
  const event = { type: 'Checkpointed', iteration: noIteration, attempt: 1, host: 'fresnel', data };
  history.append(coordinator, event);
  parts = await exportIteration(fleet, 'iter5', messages, history.events, async () => ({ lacks: 'none' }));
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = 0;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `ka audit --verify --from` on the export, with one text replaced by another. */
const verifyWith = async (name: string, found: string | RegExp, instead: string, json = true) => {
  const file = join(folder, 'iter5.tar');
  const changed = parts.map((part) => {
    if (part.name !== name) return part;
    const before = Buffer.from(part.bytes).toString();
    const after = before.replace(found, instead);
    if (after === before) throw new Error(`${name} holds no ${found}`);
    return { name, bytes: Buffer.from(after) };
  });
  await writeArchive(file, changed, { overwrite: true });
  let printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  await verify({ from: file, fleet: fleetFile, json }, { candidates: [] });
  vi.restoreAllMocks();
  return printed.replaceAll(file, 'iter5.tar');
};

it('an export with other words than today’s has no fault, and the words are noted', async () => {
  const whole = JSON.parse(await verifyWith('none of them', '', ''));
  expect(whole).toMatchObject({ faults: [], notes: [] });
  for (const [name, found, instead] of [
    ['report.md', /^# .*$/m, '# iter5'],
    ['sweep.ktap', /^ *# libva = .*\n/m, ''],
    ['sweep.ktap', / # ERROR MISS: .*$/m, ' # ERROR MISS: nothing'],
    ['sweep.junit.xml', / message="[^"]+"/, ''],
    ['kcidb.json', / {6}"comment": ".*does not hold.*\n/, ''],
  ] as const) {
    const verified = JSON.parse(await verifyWith(name, found, instead));
    expect(verified).toMatchObject({ faults: [], notes: [{ file: name }] });
    expect(process.exitCode).toBe(0);
  }
  const [note] = (await verifyWith('report.md', /^# .*$/m, '# iter5, reworded', false)).split('\n');
  expect(note).toMatch(
    /^note: iter5.tar has report.md with another text than this version renders from the same facts; line 1 is "# iter5, reworded" and would be "# .*"$/,
  );
});

it('an export is decided again without a server, unless it holds a message that is no event', async () => {
  const replay = async (name = '', found = '', instead = '') => {
    await verifyWith(name, found, instead);
    let printed = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
    const program = new Command().exitOverride();
    addProofCommands(program, { candidates: [] });
    const args = ['replay', '--check', '--from', join(folder, 'iter5.tar'), '--fleet', fleetFile, '--json'];
    await program.parseAsync(args, { from: 'user' });
    return JSON.parse(printed);
  };
  expect(await replay()).toMatchObject({ mismatches: [], notes: [] });
  expect((await replay()).decided).toBeGreaterThan(10);
  await expect(replay(eventsMember, '"signature":"', '"signature":"A')).rejects.toThrow(
    /iter5.tar holds a message at sequence 1 that is no event: .*; next: ka audit --verify --from /,
  );
});

it('a verdict that does not follow from the events is a fault, and so is a document that is missing', async () => {
  for (const [name, found, instead] of [
    ['sweep.ktap', 'not ok 1 sweep', 'ok 1 sweep'],
    ['sweep.ktap', '# ERROR MISS: ', '# ERROR '],
    ['sweep.junit.xml', '<failure', '<skipped'],
    ['kcidb.json', '"FAIL"', '"PASS"'],
    ['checkpoint.txt', fleet, 'another'],
  ] as const) {
    const { faults, notes } = JSON.parse(await verifyWith(name, found, instead));
    expect(faults).toEqual([{ sequence: 0, why: `${name} is not what follows from the events` }]);
    expect(notes).toEqual([]);
    expect(process.exitCode).toBe(1);
  }
  parts = parts.filter(({ name }) => name !== 'report.md');
  const { faults } = JSON.parse(await verifyWith('report.md', '', ''));
  expect(faults).toEqual([{ sequence: 0, why: 'report.md is not what follows from the events' }]);
});
