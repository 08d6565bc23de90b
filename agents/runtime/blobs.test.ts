import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { lacksOf } from '../../eventlog/signing/check-event.ts';
import { sealEvent } from '../../eventlog/signing/seal.ts';
import { putBlob } from '../../eventlog/stream/blobs.ts';
import { appendEvent, EventLog } from '../../eventlog/stream/event-log.ts';
import { blobStream } from '../../eventlog/stream/provision.ts';
import { coordinator } from '../../schemas/events.ts';
import { cutTail, type LogServer, startLogServer, until } from '../../test/log-server.ts';
import { readJournal } from './journal/read-journal.ts';
import { recordEvidence, recordingConfig, recordRequest, startAgent } from './testing/recording-agent.ts';

const fleet = 'test';
const host = 'boltzmann';
let log: LogServer;
let asking: NatsConnection;
beforeAll(async () => {
  log = await startLogServer(fleet, [host]);
  asking = await log.connect(coordinator);
});
afterAll(() => log.stop());

/** Three megabytes of files, in the request and in the outcome. */
const text = Array.from({ length: 60_000 }, (_, n) => `line ${n} of what is to be written`).join('\n');
const request = {
  ...recordRequest,
  files: [1, 2].map((n) => ({
    path: `${n}.md`,
    content: { as: 'note', facts: '0'.repeat(64), text: `${n}${text}` },
  })),
};
const evidence = {
  commit: {
    ...recordEvidence.commit,
    files: Array.from({ length: 30_000 }, (_, n) => ({ path: `${n}.md`, sha256: 'a'.repeat(64) })),
  },
};

const outcome = async () => {
  const reader = new EventLog(asking, log.trust, { onLack: () => undefined });
  const { events } = await reader.read();
  return events.find(({ event }) => event.type === 'RecordSucceeded');
};

it('a host takes a large request once all its blobs are there, and puts back what the log loses of its outcome', async () => {
  const config = recordingConfig(log, { fleet, host });
  const asked: unknown[] = [];
  startAgent(config, {
    steps: {
      record: async (given) => {
        asked.push(given);
        return evidence;
      },
    },
  });
  const sealed = sealEvent(
    { type: 'RecordRequested', iteration: 'iter5', attempt: 1, host, data: { host, request } },
    { fleet, name: coordinator, key: log.key(coordinator) },
    undefined,
    '2026-05-11T08:00:00Z',
  );
  expect(sealed.blobs.length).toBeGreaterThan(0);
  await appendEvent(asking, { ...sealed, blobs: [] });
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  expect(readJournal(join(config.stateFolder, 'journal.db')).open).toEqual([]);
  expect(asked).toEqual([]);

  for (const blob of sealed.blobs) await putBlob(asking, { fleet, writer: coordinator }, blob);
  const told = await until(outcome);
  expect(asked).toMatchObject([request]);
  expect(told.event.data).toMatchObject({ evidence });
  expect(told.bytes.length).toBeLessThan(256 * 1024);

  await log.server.kill('SIGKILL');
  cutTail(join(log.folder, 'nats'), 0.2, blobStream);
  await log.server.restart();
  await until(() => asking.rtt().catch(() => undefined));
  await until(async () => {
    const found = await outcome().catch(() => undefined);
    return found && lacksOf(found).length === 0;
  });
  expect((await outcome())?.event.data).toMatchObject({ evidence });
});
