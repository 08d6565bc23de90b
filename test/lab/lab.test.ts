import { afterAll, beforeAll, describe, expect } from 'vitest';
import type { Iteration } from '../../coordinator/decider/state.ts';
import { endingWords } from '../../coordinator/reading/english/reasons.ts';
import { faultRow } from '../faults/fault-row.ts';
import { ka } from '../ka.ts';
import { cutIterations } from './cuts.ts';
import { type LabFleet, startLabFleet } from './lab-fleet.ts';

let lab: LabFleet;
beforeAll(async () => {
  lab = await startLabFleet();
});
afterAll(() => lab?.down());

/** Checks a board on which nothing is under way: one kernel, the installed one, nothing armed and nothing left over. */
const expectSettled = async (pkgrel: number) => {
  const now = await lab.board();
  expect(now.installed).toBe(lab.version(pkgrel));
  // The package's own pkgrel is the kernel's build number.
  expect(now.version).toMatch(new RegExp(`#${pkgrel} `));
  expect(await lab.onBoard('grep -c kernel-agent-held /boot/extlinux/extlinux.conf || true')).toBe('0');
  expect(
    await lab.onBoard(
      'ls -d /boot/kernel-agent /var/lib/kernel-agent*/state/deadline.json 2>/dev/null || true',
    ),
  ).toBe('');
  expect(
    await lab.onBoard(
      'pacman -Qkk --config /etc/pacman-local.conf 2>&1 | grep -v " 0 altered files" || true',
    ),
  ).toBe('');
};

/** The iteration's words on its end, and on the end of the trial. */
const told = (iteration: Iteration): string =>
  [
    iteration.ended && endingWords(iteration.ended),
    ...iteration.attempts.reboot.map((one) =>
      one.status === 'succeeded' ? JSON.stringify(one.evidence) : '',
    ),
  ].join('\n');

/** Carries a plan that has to fail, after which the board has to be as before. */
const goesBack = async (...[what, during]: Parameters<LabFleet['carry']>) => {
  const before = await lab.board();
  const { iteration, pkgrels } = await lab.carry(what, during);
  expect(iteration.ended?.status).toBe('failed');
  await expectSettled(pkgrels.installed);
  const after = await lab.board();
  expect(after.bootId).not.toBe(before.bootId);
  expect(after.version).toBe(before.version);
  return iteration;
};

faultRow('hypothesis-wrong', 'the exported row stays red, and that is reported', async () => {
  const iteration = await goesBack('wrong-hypothesis');
  expect(iteration.ended && endingWords(iteration.ended)).toContain('exported');
  const log = await ka(['log', iteration.name, '--config', lab.places.operatorConfig]);
  expect(log.stdout).toMatch(/FAILED: .*; the board was rolled back\. Go back to: .*phase 0/);
});

faultRow('kernel-panics', 'its last words are kept, and the board is back by itself', async () => {
  expect(told(await goesBack('panic'))).toMatch(/"how":"panic"/);
});

faultRow('kernel-hangs', 'the watchdog that the boot loader has armed ends it', async () => {
  expect(told(await goesBack('hang'))).toMatch(/"how":"watchdog"/);
});

const config = '/etc/kernel-agent/agent.yaml';
/**
 * Shortens the deadline for a kernel that will not be confirmed, so that the test need not wait as long as a sweep may
 * take.
 */
const withDeadline = async <Result>(seconds: number, work: () => Promise<Result>): Promise<Result> => {
  const set = async (value: number) => {
    await lab.onBoard(`sed -i 's/confirmWithinSeconds: .*/confirmWithinSeconds: ${value}/' ${config}`);
    await lab.onBoard('systemctl restart kernel-agent.service kernel-agent-deadline.service');
  };
  const before = Number(await lab.onBoard(`sed -n 's/.*confirmWithinSeconds: //p' ${config}`));
  await set(seconds);
  try {
    return await work();
  } finally {
    await set(before);
  }
};

/** The event of the board's own deadline in an iteration, in words. */
const deadlinePassed = async ({ name }: Iteration): Promise<string> => {
  const { events } = await lab.session.read();
  const passed = events.find(({ event }) => event.type === 'DeadlinePassed' && event.iteration === name);
  return JSON.stringify(passed?.event);
};

faultRow('kernel-no-network', 'nobody can be asked, so the board goes back on its own', async () => {
  const iteration = await withDeadline(60, () => goesBack('no-network'));
  expect(await deadlinePassed(iteration)).toContain('no network');
  expect(told(iteration)).toContain('it had no network: no interface but lo');
});

/** What systemd's emergency shell prints on the console, with or without a password of root. */
const emergency = /You are in emergency mode|the root account is locked/;

faultRow('kernel-emergency', 'no agent starts there, and the board’s deadline does', async () => {
  const unit = '/etc/systemd/system/only-this-kernel.service';
  const kernel = (await lab.board()).version;
  const text = [
    ...['[Unit]', 'DefaultDependencies=no', 'Before=local-fs.target'],
    ...['[Service]', 'Type=oneshot', `ExecStart=/usr/bin/grep -qxF '${kernel}' /proc/version`],
    ...['[Install]', 'RequiredBy=local-fs.target', ''],
  ].join('\n');
  await lab.onBoard(`printf '%s' "${text}" > ${unit} && systemctl enable ${unit}`);
  try {
    const iteration = await withDeadline(60, () =>
      goesBack('again', async (signs) => {
        await signs.wait('console', emergency, 20 * 60_000);
      }),
    );
    expect(await deadlinePassed(iteration)).toContain('nobody confirmed');
    expect(told(iteration)).toMatch(/"how":"deadline"/);
  } finally {
    await lab.onBoard(`systemctl disable only-this-kernel.service && rm ${unit}`);
  }
});

describe('power cuts', () => {
  for (const { name, ends, cuts } of cutIterations)
    faultRow(
      'power-cut',
      `${cuts.map(({ at }) => at).join(', ')}: ${ends === 'closed' ? 'it closes' : 'it is rolled back'}`,
      async () => {
        const { iteration, pkgrels } = await lab.carry('again', async (signs) => {
          for (const {
            at,
            sign: [kind, pattern],
            afterMs,
          } of cuts) {
            await signs.wait(kind, pattern, 20 * 60_000);
            await new Promise((done) => setTimeout(done, afterMs));
            const now = await lab.cutPower();
            process.stderr.write(`${name}: cut ${at}; ${now.version.replace(/.*#/, '#')} boots\n`);
          }
        });
        expect(iteration.ended?.status).toBe(ends);
        await expectSettled(ends === 'closed' ? pkgrels.to : pkgrels.installed);
      },
      60 * 60_000,
    );
});
