import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { readJournal } from '../../agents/runtime/journal/read-journal.ts';
import { replayCheck } from '../../coordinator/reading/replay.ts';
import { parseSubject } from '../../schemas/events.ts';
import { patienceMs } from '../patience.ts';
import { planVariant } from '../plan-variant.ts';
import { startTestFleet, type TestFleet } from '../test-fleet.ts';
import { isThorough } from '../thorough/thorough.ts';
import { faultRow } from './fault-row.ts';
import { processOf, setGrace, setPower, waitUntil } from './sandbox-faults.ts';

/** After this time a host is silent for too long, if the log is there. By default it is five minutes. */
const graceSeconds = isThorough ? 300 : 45;
/** Twice the grace: a coordinator that counted it while the log is away would give every host up. */
const downMs = 2 * graceSeconds * 1000;

describe('nats-server that stays away', () => {
  let fleet: TestFleet;
  beforeAll(async () => {
    fleet = await startTestFleet('fault-log-down');
    if (!isThorough) await setGrace(fleet, graceSeconds);
  });
  afterAll(() => fleet?.remove());

  /** The types of a host's unsent events, oldest first. */
  const unsent = (host: 'boltzmann' | 'fresnel'): string[] =>
    readJournal(join(fleet.places.host(host), 'state/journal.db')).unsent.map(
      (subject) => parseSubject(subject)?.type ?? '',
    );

  faultRow(
    'nats-down',
    `killed during the build and gone for ${downMs / 1000} s, twice the hosts’ grace: the build and the backup end without it, and the rest follows`,
    async () => {
      const { restarts } = processOf(fleet, 'coordinator');
      const carrying = fleet.carry(await planVariant(fleet.folder, { iteration: 'iter5' }));
      await waitUntil('the build is asked for', async () =>
        (await fleet.types('iter5')).includes('BuildRequested'),
      );
      await setPower(fleet, 'nats', 'off');
      const since = Date.now();
      await waitUntil('boltzmann has built', () => unsent('boltzmann').includes('BuildSucceeded'));
      await sleep(downMs - (Date.now() - since));
      const waiting = unsent('boltzmann');
      await setPower(fleet, 'nats', 'on');
      await waitUntil('boltzmann has said it', () => unsent('boltzmann').length === 0);
      const { exitCode, stdout } = await carrying;
      expect(stdout).toMatch(/ iter5 CLOSED: C1 PASS, /);
      expect(exitCode).toBe(0);
      expect(processOf(fleet, 'coordinator').restarts).toBe(restarts);
      for (const name of ['boltzmann', 'hertz']) expect(processOf(fleet, name).restarts).toBe(0);
      const events = await fleet.events('iter5');
      const types = events.map(({ event }) => event.type);
      // No host fails because of the time in which none could be heard.
      expect(types.filter((type) => /Failed|Superseded/.test(type))).toEqual([]);
      expect(new Set(types).size).toBe(types.length);
      const said = events.filter(({ event }) => event.source === 'boltzmann').map(({ event }) => event.type);
      expect(said.filter((type) => waiting.includes(type))).toEqual(
        waiting.filter((type) => said.includes(type)),
      );
      expect(replayCheck(await fleet.events()).mismatches).toEqual([]);
    },
    downMs + 4 * patienceMs,
  );
});
