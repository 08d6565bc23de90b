import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { execa } from 'execa';
import { headers } from 'nats';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { parse, stringify } from 'yaml';
import { readJournal } from '../../agents/runtime/journal/read-journal.ts';
import { readState } from '../../deploy/local-fleet/sandbox-state.ts';
import type { SandboxHost } from '../../deploy/places/sandbox-places.ts';
import { nodeArgv } from '../../deploy/processes/node-argv.ts';
import { connectNats } from '../../eventlog/connection/connect.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { lastPresences } from '../../eventlog/live/presence.ts';
import { signatureHeader } from '../../eventlog/signing/check-event.ts';
import { trustNow } from '../../eventlog/signing/trust.ts';
import { remakeDurable } from '../../eventlog/stream/durables.ts';
import type { PublisherConfig } from '../../schemas/config.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { sha256 } from '../../schemas/hash.ts';
import { planVariant } from '../plan-variant.ts';
import { startTestFleet, type TestFleet } from '../test-fleet.ts';
import { faultRow } from './fault-row.ts';
import { iterationUnderWay } from './iteration-under-way.ts';
import { processOf, setPower, waitUntil } from './sandbox-faults.ts';
import { fillDisk, mayMount, mountSmallDisk, unmountDisk } from './small-disk.ts';

describe('a host and its journal', () => {
  let fleet: TestFleet;
  beforeAll(async () => {
    fleet = await startTestFleet('fault-journal');
  });
  afterAll(() => fleet?.remove());

  const stateOf = (host: SandboxHost) => join(fleet.places.host(host), 'state');
  const journalOf = (host: SandboxHost) => join(stateOf(host), 'journal.db');
  const removeJournal = async (host: SandboxHost) => {
    for (const name of await readdir(stateOf(host)))
      if (/^journal\.db(-wal|-shm)?$/.test(name)) await rm(join(stateOf(host), name));
  };
  const emptyWriteAheadLog = (host: SandboxHost) => {
    const journal = new Database(journalOf(host));
    // SQLite returns 1 and can't empty it while the agent reads.
    while (journal.pragma('wal_checkpoint(TRUNCATE)', { simple: true }) !== 0);
    journal.close();
  };
  const positionOf = (host: SandboxHost): number => readJournal(journalOf(host)).position;
  const admin = () =>
    connectNats({
      servers: [readState(fleet.places)?.natsUrl ?? ''],
      keyFile: fleet.places.keyFile('admin'),
      name: 'admin',
    });
  const troubleOf = async (host: SandboxHost): Promise<string | null | undefined> => {
    const connection = await admin();
    try {
      const trust = trustNow(readConfigFile(fleet.places.fleetFile, Fleet));
      return (await lastPresences(connection, trust, [host])).seen.get(host)?.trouble;
    } finally {
      await connection.close();
    }
  };
  const logHas = async (host: SandboxHost, text: string) =>
    (await readFile(fleet.places.log(host), 'utf8')).split('\n').filter((line) => line.includes(text)).length;
  /** Checks a host's events: a chain without a gap, starts with consecutive numbers, no outcome twice. */
  const expectWhole = async (host: SandboxHost) => {
    const events = (await fleet.events()).filter(({ event }) => event.source === host);
    expect(events.map(({ event }) => event.writerseq)).toEqual(events.map((_, index) => index + 1));
    for (const [index, { event }] of events.entries())
      if (index > 0) expect(event.prevhash).toBe(sha256(events[index - 1]?.bytes ?? new Uint8Array()));
    const starts = events.filter(({ event }) => event.type === 'AgentStarted');
    expect(starts.map(({ event }) => event.attempt)).toEqual(starts.map((_, index) => index + 1));
    expect(new Set(events.map(({ subject }) => subject)).size).toBe(events.length);
  };
  const starts = async (host: SandboxHost) =>
    (await fleet.events()).filter(({ event }) => event.source === host && event.type === 'AgentStarted')
      .length;
  const wasSettled = (host: SandboxHost) =>
    waitUntil(
      `${host}'s journal is rebuilt`,
      async () => (await logHas(host, 'over: the journal was lost')) > 0,
    );

  faultRow(
    'journal-damaged',
    'one is lost, one is corrupt, one is an old copy: rebuilt from the log; what nobody knows of is built elsewhere',
    async () => {
      const copy = join(fleet.folder, 'old-copy');
      await setPower(fleet, 'fresnel', 'off');
      await cp(stateOf('fresnel'), copy, { recursive: true });
      await setPower(fleet, 'fresnel', 'on'); // the old copy lacks this start
      const underWay = iterationUnderWay(
        fleet,
        await planVariant(fleet.folder, { iteration: 'iter5' }),
        'iter5',
      );
      await underWay.start();
      await underWay.event('ReviewRequested');
      await waitUntil('fresnel has said that it started', async () =>
        (await fleet.events()).some(({ event }) => event.source === 'fresnel' && event.attempt === 2),
      );

      for (const host of ['boltzmann', 'hertz', 'fresnel'] as const) await setPower(fleet, host, 'off');
      await removeJournal('boltzmann');
      emptyWriteAheadLog('hertz'); // otherwise the file is next to empty
      const pages = await readFile(journalOf('hertz'));
      await writeFile(journalOf('hertz'), pages.fill(0xff, 4096));
      await removeJournal('fresnel');
      await cp(copy, stateOf('fresnel'), { recursive: true });
      for (const host of ['boltzmann', 'hertz', 'fresnel'] as const) await setPower(fleet, host, 'on');
      for (const host of ['boltzmann', 'hertz', 'fresnel'] as const) await wasSettled(host);
      expect(await readdir(stateOf('hertz'))).toContain('journal.db.corrupt-1');

      await underWay.approve();
      await underWay.event('BuildRequested');
      await setPower(fleet, 'boltzmann', 'off');
      await removeJournal('boltzmann');
      await setPower(fleet, 'boltzmann', 'on');
      const failed = await underWay.event('BuildFailed');
      expect(failed.data).toMatchObject({
        fault: 'host',
        reason: expect.stringMatching(/^boltzmann's journal was lost/),
        begun: ['unknown'],
      });
      await underWay.event('IterationClosed');
      const events = await fleet.events('iter5');
      const built = events.filter(({ event }) => event.type === 'BuildSucceeded');
      expect(built.map(({ event }) => [event.source, event.attempt])).toEqual([['fermi', 2]]);
      for (const host of ['boltzmann', 'fermi', 'hertz', 'fresnel'] as const) await expectWhole(host);
    },
  );

  faultRow(
    'request-repeated',
    'each request of an iteration comes a hundred times, the last ones first, and once more from the first on',
    async () => {
      const before = { world: await fleet.world(), types: await fleet.types() };
      const connection = await admin();
      try {
        const own = (await fleet.events('iter5')).filter(
          ({ event }) => event.source !== 'coordinator',
        ).length;
        const requests = (await fleet.events('iter5')).filter(
          ({ event }) => event.kind === 'step' && event.fact === 'Requested',
        );
        const manager = await connection.jetstreamManager();
        for (const { sequence, subject, bytes } of requests.reverse()) {
          const head = headers();
          const stored = await manager.streams.getMessage('KA', { seq: sequence });
          head.set(signatureHeader, stored.header.get(signatureHeader));
          for (let times = 1; times <= 100; times += 1)
            await connection.jetstream().publish(subject, bytes, { headers: head });
        }
        for (const host of ['boltzmann', 'fermi', 'hertz', 'fresnel']) {
          await remakeDurable(connection, 'sandbox', host, 1);
          await waitUntil(`${host} has taken all`, async () => {
            const { num_pending, num_ack_pending } = await manager.consumers.info('KA', host);
            return num_pending + num_ack_pending === 0;
          });
        }
        await sleep(2_000);
        const after = await fleet.events('iter5');
        expect(after.filter(({ event }) => event.source !== 'coordinator')).toHaveLength(own);
        expect(await fleet.world()).toEqual(before.world);
        expect(requests.length).toBeGreaterThan(8);
      } finally {
        await connection.close();
      }
    },
  );

  faultRow(
    'two-agents',
    'a second agent with the same keys: the older one ends with exit code 78 and stays down; on one journal the second one does not start',
    async () => {
      const file = fleet.places.config('hertz');
      const same = await execa('env', [...nodeArgv('agents/main.ts', '--config', file)], { reject: false });
      expect(same.exitCode).toBe(1);
      expect(same.stderr).toContain(
        `journal.db is in use by process ${processOf(fleet, 'hertz').process?.pid}: stop that agent first`,
      );
      const config: PublisherConfig = parse(await readFile(file, 'utf8'));
      const elsewhere = join(fleet.folder, 'second.yaml');
      await writeFile(elsewhere, stringify({ ...config, stateFolder: join(fleet.folder, 'second') }));
      const [program = '', ...args] = nodeArgv('agents/main.ts', '--config', elsewhere);
      const second = execa(program, args, { reject: false });
      try {
        await waitUntil('hertz stays down', () => !processOf(fleet, 'hertz').process);
        expect(processOf(fleet, 'hertz').why).toMatch(/exit code 78 and stays down/);
        expect(await logHas('hertz', 'another agent of this host was started later')).toBe(1);
        await sleep(3_000);
        expect(second.exitCode).toBeNull(); // it runs
      } finally {
        second.kill('SIGTERM');
        await second;
      }
      await setPower(fleet, 'hertz', 'off');
      await setPower(fleet, 'hertz', 'on');
      await waitUntil('hertz works again', async () => (await troubleOf('hertz')) === null);
      await expectWhole('hertz');
    },
  );

  faultRow(
    'disk-full',
    'the disk of hertz’s journal: what it is asked for is not begun, it says why, and goes on once there is room',
    async ({ skip }) => {
      if (!mayMount) skip('only root may mount the small disk that this needs');
      const state = stateOf('hertz');
      const startsBefore = await starts('hertz');
      await setPower(fleet, 'hertz', 'off');
      emptyWriteAheadLog('hertz');
      await mountSmallDisk(state, '16m');
      try {
        await setPower(fleet, 'hertz', 'on');
        // Its earlier presence can still be read.
        await waitUntil('hertz works', async () => (await starts('hertz')) > startsBefore);
        // The agent that replaced it before has left trouble that this one has to clear.
        await waitUntil('hertz has no trouble', async () => (await troubleOf('hertz')) === null);
        // The agent still reads the hundredfold requests of the rows before: nothing may be written after this.
        const toldLast = async () =>
          (await fleet.events()).findLast(({ subject }) => subject.endsWith('.hertz'))?.sequence ?? 0;
        await waitUntil(
          'hertz has all that is for it',
          async () => positionOf('hertz') >= (await toldLast()),
        );
        emptyWriteAheadLog('hertz'); // otherwise it would have room for more writes for a while
        const ballast = fillDisk(state);
        // Based on the board's present version, so that preflight accepts this plan, however late it ends.
        const [, from = ''] = (await fleet.board()).installed[0]?.split(' ') ?? [];
        const to = from.replace(/\d+$/, (release) => String(Number(release) + 1));
        const plan = [[/from: 7\.0-1\n( +)to: 7\.0-2/, `from: ${from}\n$1to: ${to}`]] as const;
        const underWay = iterationUnderWay(
          fleet,
          await planVariant(fleet.folder, { iteration: 'iter6', plan }),
          'iter6',
        );
        await underWay.start();
        await underWay.event('KeycheckRequested');
        await waitUntil('hertz says why', async () =>
          /can't be written .* make room in /.test((await troubleOf('hertz')) ?? ''),
        );
        await underWay.event('PreflightSucceeded');
        expect(await fleet.types('iter6')).not.toContain('KeycheckSucceeded');
        expect(processOf(fleet, 'hertz').process).toBeTruthy();
        await ballast.drop();
        await underWay.event('KeycheckSucceeded');
        await waitUntil('hertz has no trouble', async () => (await troubleOf('hertz')) === null);
        await underWay.abort();
      } finally {
        await setPower(fleet, 'hertz', 'off');
        await unmountDisk(state);
      }
    },
  );
});
