import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, onTestFinished } from 'vitest';
import { replayCheck } from '../../coordinator/reading/replay.ts';
import { readState } from '../../deploy/local-fleet/sandbox-state.ts';
import { signal } from '../../deploy/processes/process-identity.ts';
import { connectNats } from '../../eventlog/connection/connect.ts';
import { sealEvent } from '../../eventlog/signing/seal.ts';
import { readWriterKey } from '../../eventlog/signing/writer-key.ts';
import { appendEvent } from '../../eventlog/stream/event-log.ts';
import type { LoggedEvent } from '../../schemas/events.ts';
import { coordinator } from '../../schemas/events.ts';
import type { KaRan } from '../ka.ts';
import { cutTail } from '../log-server.ts';
import { planVariant } from '../plan-variant.ts';
import { startTestFleet, type TestFleet } from '../test-fleet.ts';
import { faultRow } from './fault-row.ts';
import { killProcess, loseLogDisk, processOf, waitUntil } from './sandbox-faults.ts';

describe('a log that is cut, or lost', () => {
  let fleet: TestFleet;
  // Each test has its own fleet: otherwise the second would depend on what the first has published.
  beforeEach(async () => {
    fleet = await startTestFleet('fault-log-lost');
  });
  afterEach(() => fleet?.remove());

  const seen = (iteration: string, type: string) =>
    waitUntil(`${iteration} has ${type}`, async () => (await fleet.types(iteration)).includes(type));
  const logOf = (name: string) => readFile(fleet.places.log(name), 'utf8');

  /** Checks that every earlier event is back, none occurs twice, and the coordinator's follow from the others. */
  const checkWhole = async (before: readonly LoggedEvent[]) => {
    const events = await fleet.events();
    const subjects = new Set(events.map(({ subject }) => subject));
    expect(before.filter(({ subject }) => !subjects.has(subject)).map(({ subject }) => subject)).toEqual([]);
    expect(subjects.size).toBe(events.length);
    expect(replayCheck(events).mismatches).toEqual([]);
  };

  /** @param told the report of the fault that `ka iterate --watch` prints. */
  const closes = async (carrying: Promise<KaRan>, told: string) => {
    const { exitCode, stdout, stderr } = await carrying;
    expect(`${stdout}${stderr}`).toMatch(/ CLOSED: C1 PASS, /);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(told);
  };

  faultRow(
    'log-tail-lost',
    'cut by a tenth while hosts work, and once more: all is said again, and the iteration closes',
    async () => {
      const following = execa(join(import.meta.dirname, '../../ka'), [
        ...['log', '--follow', '--config', fleet.places.operatorConfig],
      ]);
      const said = ({ stdout, stderr }: { stdout: string; stderr: string }) => `${stdout}${stderr}`;
      const followed = following.then(said, said);
      onTestFinished(async () => {
        following.kill('SIGKILL');
        await followed;
      });
      const carrying = fleet.carry(await planVariant(fleet.folder, { iteration: 'iter5' }));
      let before: LoggedEvent[] = [];
      for (const type of ['BuildRequested', 'InstallSucceeded']) {
        await seen('iter5', type);
        before = await fleet.events();
        const server = processOf(fleet, 'nats-server').process;
        if (!server) throw new Error('nats-server does not run');
        signal(server, 'SIGSTOP');
        cutTail(fleet.places.nats);
        await killProcess(fleet, 'nats-server');
        await waitUntil(
          `the coordinator notices the cut after ${type}`,
          async () =>
            (await logOf('coordinator')).split('the log was cut').length >
            (type === 'BuildRequested' ? 1 : 2),
        );
      }
      await closes(carrying, 'the log was cut');
      await checkWhole(before);
      following.kill('SIGINT');
      expect((await followed).split('the log was cut').length).toBe(3);
      for (const name of ['coordinator', 'boltzmann', 'hertz'])
        expect(processOf(fleet, name).restarts).toBe(0);
    },
  );

  faultRow(
    'log-disk-lost',
    'gone in the middle of an iteration: everybody waits, ka log restore rebuilds it, and the iteration closes in a new epoch',
    async () => {
      const carrying = fleet.carry(await planVariant(fleet.folder, { iteration: 'iter6' }));
      await seen('iter6', 'BuildRequested');
      const before = await fleet.events();
      await loseLogDisk(fleet);

      await waitUntil('the coordinator says what is wrong', async () =>
        (await logOf('coordinator')).includes('nats-server holds no log'),
      );
      const status = await fleet.ka('status');
      expect(status.exitCode).toBe(1);
      expect(status.stderr).toBe(
        'ka: nats-server holds no log: its disk was lost, or the fleet was never set up; next: ka log restore',
      );
      // With only the journals, events that no host received are lost, and ka reports them.
      const without = await fleet.ka('log', 'restore', '--no-copy');
      expect(without.stdout).toMatch(/^there is no log\n\d+ events can be rebuilt\n/);
      expect(without.stdout).toContain('coordinator/iter6.IterationAccepted.1');
      expect(without.exitCode).toBe(0);
      const shown = await fleet.ka('log', 'restore');
      expect(shown.stdout).toContain('nothing is known to be missing\nnothing was written');
      expect((await fleet.ka('status')).exitCode).toBe(1);

      const restored = await fleet.ka('log', 'restore', '--write', '--as', 'mfritsche');
      expect(restored.stderr).toBe('');
      expect(restored.stdout).toMatch(/^the log is restored: \d+ events, epoch 2 begins$/m);
      const after = await fleet.events();
      const asText = ({ sequence, bytes }: LoggedEvent) => `${sequence} ${Buffer.from(bytes)}`;
      expect(after.slice(0, before.length).map(asText)).toEqual(before.map(asText));
      await closes(carrying, 'waits for the log: nats-server holds no log');
      await checkWhole(before);
      expect(processOf(fleet, 'coordinator').restarts).toBe(0);
      expect((await fleet.events('iter6')).at(-1)?.event.epoch).toBe(2);

      // A request of the epoch before, which may still be on its way or come from an outdated coordinator.
      const connection = await connectNats({
        servers: [readState(fleet.places)?.natsUrl ?? ''],
        keyFile: fleet.places.keyFile('coordinator'),
        name: coordinator,
      });
      const old = before.find(({ event }) => event.type === 'PreflightRequested')?.event;
      if (old?.kind !== 'step' || old.fact !== 'Requested') throw new Error('there was no request');
      const key = readWriterKey(await readFile(fleet.places.keyFile('coordinator'), 'utf8'));
      const request = { type: 'PreflightRequested', iteration: 'iter6', attempt: 9 } as const;
      await appendEvent(
        connection,
        sealEvent(
          { ...request, host: 'boltzmann', data: old.data },
          { fleet: 'sandbox', name: coordinator, key },
          undefined,
          new Date().toISOString(),
        ),
      );
      await connection.close();
      await waitUntil('boltzmann refuses it', async () =>
        /refused .*PreflightRequested\.9.*epoch/.test(await logOf('boltzmann')),
      );
    },
  );
});
