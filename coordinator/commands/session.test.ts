import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { sealEvent } from '../../eventlog/signing/seal.ts';
import { appendEvent } from '../../eventlog/stream/event-log.ts';
import { type LogServer, people, person, startLogServer } from '../../test/log-server.ts';
import { decide } from '../decider/decide.ts';
import { initialState } from '../decider/state.ts';
import type { LoadedPlan } from '../plan/plan-file.ts';
import { NoAnswer, Refused } from '../refused.ts';
import { exampleFleet, examplePlan } from '../testing/example-plan.ts';
import { startOf } from '../testing/history.ts';
import { awaitAnswer } from './answer.ts';
import { openSession, type Session } from './session.ts';

let log: LogServer;
let session: Session;
beforeAll(async () => {
  log = await startLogServer(exampleFleet.fleet, ['boltzmann']);
  const config = join(log.folder, 'operator.yaml');
  const identities = { [people[0]]: log.keyFile(person) };
  writeFileSync(
    config,
    JSON.stringify({ fleetFile: log.fleetFile, nats: { servers: [log.server.url] }, identities }),
  );
  session = await openSession(config);
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterAll(async () => {
  vi.restoreAllMocks();
  await session.close();
  await log.stop();
});

/** A plan whose series is in a blob. */
const large = (text: string): LoadedPlan => {
  const loaded = examplePlan();
  const [first, ...rest] = loaded.series;
  if (!first) throw new Error('the plan has no patch');
  return { ...loaded, series: [{ ...first, base64: text.repeat(700_000) }, ...rest] };
};

it('a start whose series is lost is reported as such, and the same start puts the series back', async () => {
  const [started] = decide(startOf(large('A')), initialState);
  if (!started) throw new Error('nothing starts');
  const writer = { fleet: exampleFleet.fleet, name: person, key: log.key(person) };
  const sealed = sealEvent(started, writer, undefined, '2026-05-11T08:00:00Z');
  const { sha256 } = sealed.blobs[0] ?? expect.fail('nothing was put aside');
  await appendEvent(session.connection, { ...sealed, blobs: [] });

  const unanswered = await awaitAnswer(session, started).catch((error: unknown) => error);
  expect(unanswered).toBeInstanceOf(NoAnswer);
  expect(String(unanswered)).toContain(
    `is not answered while IterationStarted of ${person} (sequence 1) is not whole: blob ${sha256} is missing; next: repeat it (ka iterate PLAN), or`,
  );

  const other = await session.command(startOf(large('B'))).catch((error: unknown) => error);
  expect(other).toBeInstanceOf(Refused);
  expect(String(other)).toContain(`is in the log at sequence 1 with other content, and its blob ${sha256}`);

  expect(await session.command(startOf(large('A')))).toMatchObject({ type: 'IterationStarted' });
  const { state, events } = await session.read();
  expect(events).toHaveLength(1);
  expect(state.starts.get('iter5')?.open).toHaveLength(1);
});
