import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { Journal } from '../../agents/runtime/journal/journal.ts';
import type { SealedEvent } from '../../eventlog/signing/seal.ts';
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
  addRestoreCommand(program, { candidates: [at('operator.yaml')] }, () => ({
    copy: at('log.db'),
    journals,
    adminSeed: log.keyFile('admin'),
  }));
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
  const bytes = new TextEncoder().encode('{}');
  journal.requests.note({ iteration: 'i', step: 'build', attempt: 1, eventId: 'e', bytes }, undefined, 4);
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
