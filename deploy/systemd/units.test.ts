import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { staysDownCode } from '../../agents/runtime/errors.ts';
import { checkout } from '../checkout.ts';

const analyze = promisify(execFile);
const folder = join(checkout, 'deploy/systemd');
const fileOf = (unit: string) => join(folder, `${unit}.service`);

/** The most exposure that systemd 252 may find, of 10, times 10. It was measured; whoever raises one says why. */
const thresholds = {
  'kernel-agent-builder': 35,
  'kernel-agent-publisher': 18,
  'kernel-agent-board': 52,
  'kernel-agent-deadline': 47,
  'kernel-agent-coordinator': 16,
  'kernel-agent-nats': 16,
};

it('has a threshold for every unit', () => {
  const units = readdirSync(folder).filter((name) => name.endsWith('.service'));
  expect(units.toSorted()).toEqual(
    Object.keys(thresholds)
      .map((name) => `${name}.service`)
      .toSorted(),
  );
});

it.each(Object.entries(thresholds))('%s is a unit that systemd takes without a word', async (unit) => {
  const { stdout, stderr } = await analyze('systemd-analyze', ['verify', '--man=no', fileOf(unit)]);
  expect(stdout + stderr).toBe('');
});

it.each(Object.entries(thresholds))('%s is exposed no more than %i of 100', async (unit, threshold) => {
  const argv = ['security', '--offline=yes', '--no-pager', `--threshold=${threshold}`, fileOf(unit)];
  await expect(analyze('systemd-analyze', argv)).resolves.toBeDefined(); // it exits 1 above
});

it.each(['builder', 'publisher', 'board'])('leaves a replaced agent of a %s down', (role) => {
  expect(readFileSync(fileOf(`kernel-agent-${role}`), 'utf8')).toContain(
    `RestartPreventExitStatus=${staysDownCode}\n`,
  );
});

it.each(['kernel-agent-board', 'kernel-agent-deadline'])('lets a pacman go on when %s stops', (unit) => {
  const text = readFileSync(fileOf(unit), 'utf8');
  expect(text).toMatch(/^KillMode=process$/m);
  expect(text).not.toMatch(/^PrivateTmp=yes$/m);
});
