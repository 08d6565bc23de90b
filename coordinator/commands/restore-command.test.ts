import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { Journal } from '../../agents/runtime/journal/journal.ts';
import { readJournalBlob, readJournalMessages } from '../../agents/runtime/journal/read-journal.ts';
import { lacksOf } from '../../eventlog/signing/check-event.ts';
import { linkTo, type SealedEvent, sealEvent } from '../../eventlog/signing/seal.ts';
import { appendEvent, EventLog } from '../../eventlog/stream/event-log.ts';
import { eventStream, isOpenTo } from '../../eventlog/stream/provision.ts';
import { type LogServer, person, sealedStart, startLogServer } from '../../test/log-server.ts';
import { Refused } from '../refused.ts';
import { addRestoreCommand } from './restore-command.ts';

const fleet = 'test';
let log: LogServer;
const at = (name: string) => join(log.folder, name);
beforeAll(async () => {
  log = await startLogServer(fleet, ['boltzmann']);
  const nats = { servers: [log.server.url] };
  const config = { fleetFile: log.fleetFile, nats, identities: { mfritsche: log.keyFile(person) } };
  writeFileSync(at('operator.yaml'), JSON.stringify(config));
  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterAll(async () => {
  vi.restoreAllMocks();
  await log.stop();
});

const sealed = (attempt: number, last?: SealedEvent) =>
  sealedStart(log, { fleet, host: 'boltzmann', attempt, last });

/** `ka log restore …`. @param journals found without being named. */
const restore = async (args: readonly string[], journals: Record<string, string> = {}) => {
  const program = new Command().option('--config <file>').exitOverride();
  addRestoreCommand(
    program,
    { candidates: [at('operator.yaml')] },
    {
      sourcesOf: () => ({ copy: at('log.db'), journals, adminSeed: log.keyFile('admin') }),
      journals: { messages: readJournalMessages, blob: readJournalBlob },
    },
  );
  await program.parseAsync(['restore', '--as', 'mfritsche', ...args], { from: 'user' });
};
const logOf = async () => {
  const { events } = await new EventLog(await log.connect('coordinator'), log.trust).read();
  return events.map(({ event }) => `${event.type}.${event.attempt}`);
};

it('a restore that fails before it replaces the log leaves the log open and unchanged', async () => {
  const host = await log.connect('boltzmann');
  await appendEvent(host, sealed(1));
  await expect(restore(['--write', '--copy', at('none.db')])).rejects.toThrow(Refused);
  await expect(restore(['--copy', at('none.db')])).rejects.toThrow("none.db can't be read (it is not there)");
  writeFileSync(at('kept.jsonl'), 'mine');
  await expect(restore(['--write', '--save', at('kept.jsonl')])).rejects.toThrow('EEXIST');
  expect(await logOf()).toEqual(['AgentStarted.1']);
  expect(await appendEvent(host, sealed(2, sealed(1)))).toMatchObject({ outcome: 'appended' });
});

it('a log cut short is restored from its saved content, in an epoch that no host has seen', async () => {
  const journal = new Journal(at('journal.db'));
  journal.marks.noteEpoch(4);
  journal.close();
  const found = { boltzmann: at('journal.db'), fresnel: at('none.db') };
  const admin = await log.connect('admin');
  const manager = await admin.jetstreamManager();
  await manager.streams.update(eventStream, { subjects: [sealed(9).subject] }); // as an interrupted restore leaves it
  await restore(['--write', '--save', at('first.jsonl')], found);
  expect(await logOf()).toEqual(['AgentStarted.1', 'AgentStarted.2', 'LogRestored.4']);

  await manager.streams.delete(eventStream);
  await restore(['--write', '--no-copy', '--saved', at('first.jsonl')], found);
  expect(await logOf()).toEqual(['AgentStarted.1', 'AgentStarted.2', 'LogRestored.4']);
  expect(isOpenTo((await manager.streams.info(eventStream)).config.subjects)).toBe(true);
  expect(readFileSync(at('first.jsonl'), 'utf8').trim().split('\n')).toHaveLength(2);
});

it('blobs of events are restored from a journal, even if other bytes are in their place', async () => {
  const started = sealed(2, sealed(1));
  const failed = sealEvent(
    {
      type: 'BuildFailed',
      iteration: 'iter5',
      attempt: 1,
      causationid: 'coordinator/iter5.BuildRequested.1',
      data: { fault: 'host', reason: 'it would not', output: [], begun: [], seen: 'x'.repeat(1_000_000) },
    },
    { fleet, name: 'boltzmann', key: log.key('boltzmann') },
    linkTo(started.seq, started.bytes),
    '2026-05-11T08:00:00Z',
  );
  const [blob] = failed.blobs;
  if (!blob) throw new Error('nothing was put aside');
  const host = await log.connect('boltzmann');
  await appendEvent(host, { ...failed, blobs: [] });
  await host.jetstream().publish(`ka-blob.${fleet}.boltzmann.${blob.sha256}.0`, Buffer.from('other bytes'));
  const lacking = async () => {
    const reader = new EventLog(await log.connect('coordinator'), log.trust, { onLack: () => undefined });
    return (await reader.read()).events.flatMap(lacksOf).map(({ sha256 }) => sha256);
  };
  expect(await lacking()).toEqual([blob.sha256]);

  const journal = new Journal(at('aside.db'));
  journal.outbox.note(failed);
  journal.blobs.keep([blob]);
  journal.close();
  const dry = async (journals: Record<string, string>) => {
    const print = vi.spyOn(process.stdout, 'write');
    print.mockClear();
    await restore(['--no-copy'], journals);
    return print.mock.calls.map(([text]) => String(text)).join('');
  };
  expect(await dry({})).toContain(`lost         ${blob.sha256} of ${failed.subject}\n`);
  expect(await dry({ boltzmann: at('aside.db') })).toContain(
    'blobs that are missing beside the log and can be put back: 1\n',
  );
  expect(await lacking()).toEqual([blob.sha256]);

  await restore(['--write', '--no-copy', '--save', at('before.jsonl')], { boltzmann: at('aside.db') });
  expect(await lacking()).toEqual([]);
  expect(await dry({})).not.toContain('blob');
});
