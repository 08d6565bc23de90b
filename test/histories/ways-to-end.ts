import { readFile, rename, writeFile } from 'node:fs/promises';
import { parse, stringify } from 'yaml';
import { makeKeyFile } from '../../eventlog/signing/key-file.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import { breakPkgbuild } from '../broken-pkgbuild.ts';
import { nextBootPanics, nextRebootStaysOff, takeRoutes } from '../faults/board-faults.ts';
import { iterationUnderWay } from '../faults/iteration-under-way.ts';
import {
  loseLogDisk,
  portsOf,
  reconfigure,
  setGrace,
  setPower,
  speakThrough,
  waitUntil,
} from '../faults/sandbox-faults.ts';
import { startProxy } from '../faults/tcp-proxy.ts';
import { type PlanVariant, planVariant } from '../plan-variant.ts';
import { approver, type TestFleet } from '../test-fleet.ts';

/** An iteration that is to end in its way, in a fresh fleet that nothing else happens in. */
interface Recording {
  fleet: TestFleet;
  /** The iteration's name, which is the history's. */
  name: string;
  /** Writes the plan. */
  plan: (change?: Omit<PlanVariant, 'iteration'>) => Promise<string>;
  /** Runs `ka`, which has to succeed. */
  ka: (...args: string[]) => Promise<void>;
  /** Starts it from a plan. */
  start: (planFile: string) => Promise<ReturnType<typeof iterationUnderWay>>;
}

/** How long an iteration may take on a busy machine. */
const patienceMs = 600_000;
/** Longer than two of the signs of life that a host gives. */
const graceSeconds = 10;
const rkvdec = '0004-media-rkvdec-attach-dma_resv-release-fence-at-buf_queue.patch';
const limits = (text: string) => ({ plan: [['goBack:', `limits: ${text}\ngoBack:`]] as const });

const begin = async ({ plan, start }: Recording, change: Omit<PlanVariant, 'iteration'> = {}) =>
  start(await plan(change));

const changeFleetFile = async ({ places }: TestFleet, change: (fleet: Fleet) => void): Promise<void> => {
  const written: Fleet = parse(await readFile(places.fleetFile, 'utf8'));
  change(written);
  await writeFile(places.fleetFile, stringify(written));
};

/** The builder's key is revoked, and it gets another one, as `ka key revoke` tells the operator. */
const replaceKey = async ({ fleet, ka }: Recording, host: 'boltzmann'): Promise<void> => {
  await ka('key', 'revoke', host, '--why', 'its disk was sold');
  await fleet.restart(async () => {
    const keyFile = fleet.places.keyFile(host);
    await rename(keyFile, `${keyFile}.revoked`);
    const { publicKey } = makeKeyFile(keyFile);
    await changeFleetFile(fleet, ({ hosts }) => {
      const pinned = hosts[host];
      if (!pinned) throw new Error(`the fleet has no ${host}`);
      const revoked = pinned.publicKey;
      hosts[host] = { ...pinned, publicKey, earlierKeys: [revoked], revokedKeys: [revoked] };
    });
  });
};

/** Every way for an iteration to end, by the name of its history. */
export const waysToEnd: Readonly<Record<string, (recording: Recording) => Promise<void>>> = {
  closed: async ({ fleet, plan }) => void (await fleet.carry(await plan())),

  conflict: async ({ fleet, plan }) => void (await fleet.carry(await plan({ variants: ['conflict'] }))),

  rejected: async (recording) => {
    const underWay = await begin(recording);
    await underWay.event('ReviewRequested');
    await recording.ka('reject', recording.name, '--as', approver, '-m', 'it leaks a fence');
    await underWay.event('IterationFailed');
  },

  // Without hertz the key can't be checked, so nothing lands, and the approval waits.
  'expired-approval': async (recording) => {
    const { fleet, name, ka } = recording;
    await setPower(fleet, 'hertz', 'off');
    const underWay = await begin(recording);
    await underWay.event('ReviewRequested');
    await ka('approve', name, '--as', approver, '-m', 'read it', '--expires', '2s');
    await underWay.event('ApprovalExpired');
    await setPower(fleet, 'hertz', 'on');
    await underWay.event('KeycheckSucceeded');
    await underWay.abort();
    await underWay.event('IterationAborted');
  },

  'build-failed': async ({ fleet, plan }) => {
    const patches = {
      [rkvdec]: [['attach_release_fence(vb);\n }', 'attach_release_fence(vb)\n }']] as const,
    };
    await fleet.carry(await plan({ patches }));
  },

  fallback: async (recording) => {
    await setGrace(recording.fleet, graceSeconds);
    const underWay = await begin(recording);
    await underWay.approve();
    await underWay.event('BuildRequested');
    await setPower(recording.fleet, 'boltzmann', 'off');
    await underWay.event('IterationClosed', 1, patienceMs);
  },

  waived: async (recording) => {
    const underWay = await begin(recording, { variants: ['no-repair'] });
    await underWay.event('ReviewRequested');
    await recording.ka('waive', recording.name, 'C11', '-m', 'the codecs are for the next iteration');
    await underWay.approve();
    await underWay.event('IterationClosed', 1, patienceMs);
  },

  aborted: async (recording) => {
    const underWay = await begin(recording);
    await underWay.approve();
    await underWay.event('BuildRequested');
    await underWay.abort();
    await underWay.event('IterationAborted');
  },

  'sweep-failed': async ({ fleet, plan }) =>
    void (await fleet.carry(await plan({ variants: ['no-repair'] }))),

  'fell-back': async ({ fleet, plan }) => {
    await nextBootPanics(fleet);
    await fleet.carry(await plan());
  },

  // The new kernel comes up and reaches nobody.
  deadline: async (recording) => {
    const { fleet } = recording;
    const nats = await startProxy((await portsOf(fleet)).nats);
    try {
      await speakThrough(fleet, 'fresnel', nats);
      await reconfigure(fleet, 'fresnel', (config) => {
        config.boot.confirmWithinSeconds = 8;
      });
      const bootId = async () => (await fleet.board()).bootId;
      const another = async (than: string) => {
        await waitUntil('the board boots', async () => (await bootId()) !== than, patienceMs);
        return bootId();
      };
      const first = await bootId();
      const underWay = await begin(recording);
      await underWay.approve();
      const second = await another(first);
      nats.set({ does: 'refuse' });
      const giveBack = await takeRoutes(fleet);
      await another(second);
      nats.set({ does: 'pass' });
      await giveBack();
      await underWay.event('IterationFailed', 1, patienceMs);
    } finally {
      await nats.close();
    }
  },

  // It is given up while it is away: a person has to put it back.
  'board-lost': async (recording) => {
    const { fleet } = recording;
    await setGrace(fleet, graceSeconds);
    await nextRebootStaysOff(fleet);
    const underWay = await begin(recording, limits('{ reboot: 20s, rollback: 20s }'));
    await underWay.approve();
    await underWay.event('BoardLost', 1, patienceMs);
    await underWay.abort();
    await underWay.event('IterationAborted', 1, patienceMs);
  },

  'restored-log': async (recording) => {
    const underWay = await begin(recording);
    await underWay.approve();
    await underWay.event('BuildRequested');
    await loseLogDisk(recording.fleet);
    await recording.ka('log', 'restore', '--write', '--as', 'mfritsche');
    await underWay.event('IterationClosed', 1, patienceMs);
  },

  'revoked-key': async (recording) => {
    const underWay = await begin(recording);
    await underWay.event('ReviewRequested');
    await underWay.event('KeycheckSucceeded');
    await replaceKey(recording, 'boltzmann');
    await underWay.approve();
    await underWay.event('IterationClosed', 1, patienceMs);
  },

  retried: async (recording) => {
    const mend = await breakPkgbuild(recording.fleet);
    const underWay = await begin(recording);
    await underWay.event('IterationFailed');
    await mend();
    await underWay.retry();
    await underWay.approve();
    await underWay.event('IterationClosed', 1, patienceMs);
  },

  // The operator's copy of the fleet's file is newer than the coordinator's.
  refused: async (recording) => {
    const { fleet, name, plan } = recording;
    await changeFleetFile(fleet, ({ operators }) => {
      operators.mfritsche?.may.push('approve');
    });
    const ran = await fleet.ka(
      'iterate',
      await plan({
        plan: [
          ['approvals: [sonnet-architect]', 'approvals: [mfritsche]\n  authorMayApprove: true'],
          ['by: [sonnet-architect]', 'by: [mfritsche]'],
        ],
      }),
    );
    if (ran.exitCode !== 2) throw new Error(`${name} was not refused: ${ran.stdout}${ran.stderr}`);
  },
};

/** Lets an iteration of a fresh fleet end in a way. @throws {Error} if it does not come to that. */
export const endIn = async (name: string, fleet: TestFleet): Promise<void> => {
  const ka = async (...args: string[]) => {
    const { exitCode, stderr } = await fleet.ka(...args);
    if (exitCode !== 0) throw new Error(`ka ${args.join(' ')} ended with ${exitCode}: ${stderr}`);
  };
  const plan: Recording['plan'] = (change = {}) => planVariant(fleet.folder, { iteration: name, ...change });
  await waysToEnd[name]?.({
    fleet,
    name,
    ka,
    plan,
    start: async (planFile) => {
      const underWay = iterationUnderWay(fleet, planFile, name);
      await underWay.start();
      return underWay;
    },
  });
};
