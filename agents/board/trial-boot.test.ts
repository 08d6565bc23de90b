import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exampleProvenance } from '../../coordinator/testing/example-attestation.ts';
import { createRun } from '../../host/run.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { StepEvidence } from '../../schemas/steps.ts';
import { runStep } from '../../test/run-step.ts';
import { isThorough } from '../../test/thorough/thorough.ts';
import { Journal } from '../runtime/journal/journal.ts';
import { confirm } from './confirm.ts';
import { fire, readArmed, readReport } from './deadline/deadline.ts';
import { install } from './install.ts';
import { reboot } from './reboot.ts';
import { rollback } from './rollback.ts';
import type { SignedPackage } from './staged.ts';
import { sweep } from './sweep.ts';
import { extlinuxConf, pacmanCommand } from './testing/temp-board.ts';
import { names } from './testing/test-packages.ts';
import { startUpgradableBoard, type UpgradableBoard } from './testing/upgradable-board.ts';
import { watchUntil } from './testing/watch-until.ts';
import { throughReboot } from './through-reboot.ts';

const kernel = { names, version: '7.0-2', release: '7.0.0-fourier' };

describe.skipIf(pacmanCommand === undefined)('a trial boot', () => {
  let board: UpgradableBoard;
  let host: BoardConfig;
  let first: string[];
  let second: SignedPackage[];
  let held: StepEvidence<'backup'>;
  const fresh = () => board.fresh();
  const bootId = () => readFileSync(host.bootIdFile, 'utf8').trim();
  const runs = () => /#(\d) SMP/.exec(readFileSync(host.procVersionFile, 'utf8'))?.[1];
  const conf = () => readFileSync(join(board.root, 'boot/extlinux/extlinux.conf'), 'utf8');
  /** The power comes back: the board boots what the boot loader is set to. */
  const powerOn = () => createRun(() => undefined)(host.boot.rebootCommand);
  const installing = () => ({
    ...{ packages: second, fingerprint: host.signing.fingerprint, from: '7.0-1', to: '7.0-2' },
    ...{ release: kernel.release, backup: held, provenance: exampleProvenance(second) },
  });
  /** The board with a pacman that fails as soon as it is to install. */
  const unable = (): BoardConfig => {
    const script = 'case " $* " in *" -U "*) exit 1;; esac; exec "$@"';
    const command = ['sh', '-c', script, 'sh', ...host.pacman.command];
    return { ...host, pacman: { ...host.pacman, command } };
  };
  const rebooting = () => ({ ...kernel, backup: held });
  const rebooted = (folder: string, on = host) =>
    throughReboot(host, folder, (signal) => runStep('reboot', reboot, rebooting(), on, { folder, signal }));

  beforeAll(async () => {
    board = await startUpgradableBoard();
    ({ trying: host, first, published: second } = board);
    held = await board.hold();
    await board.stage();
  });
  afterAll(() => board?.stop());
  /** 7.0-1 is installed and runs; nothing is held, armed or recorded. */
  beforeEach(async () => {
    await rm(join(board.root, 'boot/kernel-agent'), { recursive: true, force: true });
    await writeFile(join(board.root, 'boot/extlinux/extlinux.conf'), extlinuxConf);
    await board.pacman('-U', '--overwrite', '*', ...first);
    await writeFile(host.boot.initramfs, 'initramfs from before\n');
    await board.forgetDeadline();
    await board.boot('boot-0');
  });

  it('leaves the old kernel the default until the new one is confirmed, also if pacman was cut', async () => {
    const cut = fresh();
    await expect(runStep('install', install, installing(), unable(), cut)).rejects.toThrow();
    expect(conf()).toContain('DEFAULT kernel-agent-held');
    await writeFile(join(board.root, 'boot/Image'), 'half');
    await powerOn();
    expect(runs()).toBe('1');
    await runStep('install', install, installing(), host, cut);
    await powerOn();
    expect(runs()).toBe('1');
    const { evidence } = await rebooted(fresh().folder);
    expect(evidence).toMatchObject({ outcome: 'new-kernel', package: '7.0-2' });
    expect(evidence.fellBack).toBeUndefined();
    expect(conf()).toContain('DEFAULT kernel-agent-held');

    const confirming = fresh();
    await runStep('confirm', confirm, kernel, host, confirming);
    expect(conf()).toBe(extlinuxConf);
    expect(existsSync(join(board.root, 'boot/kernel-agent'))).toBe(false);
    await powerOn();
    expect(runs()).toBe('2');
  });

  it('is refused if something has rewritten extlinux.conf since', async () => {
    const rewrites = ['sh', '-c', 'echo x >> "$1"; printf "$2" > "$0"'];
    const file = join(board.root, 'boot/extlinux/extlinux.conf');
    const initramfsCommand = [...rewrites, file, host.boot.initramfs, extlinuxConf];
    const hooked = { ...host, boot: { ...host.boot, initramfsCommand } };
    const says = { fault: 'host', message: expect.stringMatching(/something rewrote it/) };
    await expect(runStep('install', install, installing(), hooked, fresh())).rejects.toMatchObject(says);
    await expect(runStep('reboot', reboot, rebooting(), host, fresh())).rejects.toMatchObject(says);
    expect(bootId()).toBe('boot-0');
  });

  it('is still to come if the power was cut before it was set', async () => {
    await runStep('install', install, installing(), host, fresh());
    const { folder } = fresh();
    const loader = { ...host.boot.loader, setCommand: ['false'] } as typeof host.boot.loader;
    const unset = { ...host, boot: { ...host.boot, loader } };
    await expect(runStep('reboot', reboot, rebooting(), unset, { folder })).rejects.toThrow(/false/);
    await powerOn();
    expect([bootId(), runs()]).toEqual(['boot-1', '1']);
    const { evidence } = await rebooted(folder);
    expect(evidence).toMatchObject({
      ...{ outcome: 'new-kernel', before: { bootId: 'boot-1' }, after: { bootId: 'boot-2' } },
    });
  });

  it.each([
    ['before its result was journalled', true],
    ['before the reboot was asked for', false],
  ])('has happened if the power was cut after it was set, %s', async (_, forgets) => {
    await runStep('install', install, installing(), host, fresh());
    const { folder } = fresh();
    const idle = { ...host, boot: { ...host.boot, rebootCommand: ['false'] } };
    await expect(runStep('reboot', reboot, rebooting(), idle, { folder })).rejects.toThrow(/false/);
    if (forgets) {
      const journal = new Journal(join(folder, 'journal.db'));
      journal.close();
      const db = new Database(join(folder, 'journal.db'));
      db.exec(
        `UPDATE effect SET result = NULL WHERE name = 'trial'; DELETE FROM effect WHERE name = 'reboot'`,
      );
      db.close();
    }
    await powerOn();
    const { evidence } = await runStep('reboot', reboot, rebooting(), host, { folder });
    expect(evidence).toMatchObject({ outcome: 'new-kernel', before: { bootId: 'boot-0' } });
    expect(bootId()).toBe('boot-1');
  });

  it('that the boot loader never used is reported', async () => {
    await runStep('install', install, installing(), host, fresh());
    const script = 'fw_setenv -c "$0" ka_trial; "$@"; exec fw_setenv -c "$0" ka_trial fourier';
    const { loader } = host.boot;
    const config = loader?.kind === 'u-boot' ? (loader.printCommand[2] ?? '') : '';
    const rebootCommand = ['sh', '-c', script, config, ...host.boot.rebootCommand];
    const { evidence } = await rebooted(fresh().folder, { ...host, boot: { ...host.boot, rebootCommand } });
    expect(evidence).toMatchObject({
      outcome: 'fell-back',
      fellBack: { says: 'the boot loader never took the trial' },
    });
  });

  it('that panicked ends with the old kernel, and the panic is reported', async () => {
    await writeFile(join(board.folder, 'pstore/dmesg-ramoops-1'), 'Kernel panic - not syncing: years ago');
    await runStep('install', install, installing(), host, fresh());
    const dies = ['sh', '-c', 'printf "$3" > "$2"; "$0" "$1"; "$0" "$1"', ...host.boot.rebootCommand];
    const trace = '<0>Panic#1 Part1\n[ 3.1] Kernel panic - not syncing: no init\n';
    const rebootCommand = [...dies, join(board.folder, 'pstore/dmesg-ramoops-0'), trace];
    const { folder } = fresh();
    const { evidence } = await rebooted(folder, { ...host, boot: { ...host.boot, rebootCommand } });
    expect(evidence).toMatchObject({
      ...{ outcome: 'fell-back', package: '7.0-2' },
      fellBack: { how: 'panic', says: 'Kernel panic - not syncing: no init' },
    });
    expect(runs()).toBe('1');
    await rm(join(board.folder, 'pstore/dmesg-ramoops-0'), { force: true });
    const cells = {
      paths: [
        { name: 'a', device: false },
        { name: 'b', device: false },
      ],
      rows: [{ name: 'r' }],
    };
    const sweeping = { ...cells, version: '7.0-2', repeats: 1 };
    await expect(runStep('sweep', sweep, sweeping, host, fresh())).rejects.toMatchObject({
      ...{ fault: 'host', message: expect.stringMatching(/#1 SMP.*another kernel has booted.*goes back/) },
    });
    const back = fresh();
    const request = {
      reason: { code: 'aborted', by: 'mfritsche', says: 'it panicked' },
      from: '7.0-2',
      backup: held,
    } as const;
    const rolled = await throughReboot(host, back.folder, (signal) =>
      runStep('rollback', rollback, request, host, { ...back, signal }),
    );
    expect(rolled.evidence.rebooted).toMatchObject({ outcome: 'new-kernel', package: '7.0-1' });
    expect(conf()).toBe(extlinuxConf);
    expect(existsSync(join(board.root, 'boot/kernel-agent'))).toBe(false);
  });

  it('is ended by the board’s deadline if only extlinux.conf names it', async () => {
    const loader = {
      kind: 'extlinux',
      configFile: '/boot/extlinux/extlinux.conf',
      label: 'fourier',
    } as const;
    const alone = { ...host, boot: { ...host.boot, loader } };
    await runStep('install', install, installing(), alone, fresh());
    const stays = { ...alone, boot: { ...alone.boot, rebootCommand: ['false'] } };
    await expect(runStep('reboot', reboot, rebooting(), stays, fresh())).rejects.toThrow(/false/);
    await powerOn();
    expect([runs(), conf().includes('DEFAULT fourier')]).toEqual(['2', true]);
    await watchUntil(alone, 'the next boot is the held one', () => conf().includes('DEFAULT k'));
    await powerOn();
    expect(runs()).toBe('1');
  });

  describe('that nobody confirms', () => {
    const isOver = async () => (await readReport(host))?.over === true;
    /** Puts the new kernel on trial, with a deadline of one second. */
    const onTrial = async () => {
      const soon = { ...host, boot: { ...host.boot, confirmWithinSeconds: 1 } };
      await runStep('install', install, installing(), host, fresh());
      await rebooted(fresh().folder, soon);
      expect(runs()).toBe('2');
    };
    const installed = async () => (await board.pacman('-Q', ...names)).stdout.trim().split(/\s/)[1];

    it('is left for the held kernel if nothing can be put back under it', async () => {
      await onTrial();
      const script = 'grep -q "#2 SMP" "$0" && case " $* " in *" -U "*) exit 1;; esac; exec "$@"';
      const command = ['sh', '-c', script, host.procVersionFile, ...host.pacman.command];
      const poor = { ...host, pacman: { ...host.pacman, command } };
      await watchUntil(poor, 'it boots boot-2', () => bootId() === 'boot-2');
      expect([runs(), await installed(), await isOver()]).toEqual(['1', '7.0-2', false]);
      await watchUntil(poor, 'it boots boot-3', () => bootId() === 'boot-3');
      await watchUntil(poor, 'it is over', isOver);
      expect(await readReport(host)).toMatchObject({ restored: true, reboots: 2 });
      expect([bootId(), runs(), await installed(), conf()]).toEqual(['boot-3', '1', '7.0-1', extlinuxConf]);
    });

    it('is given up under the held kernel if nothing can be put back there either', async () => {
      await onTrial();
      await watchUntil(unable(), 'it boots boot-2', () => bootId() === 'boot-2');
      await watchUntil(unable(), 'it is over', isOver);
      expect(await readReport(host)).toMatchObject({ restored: false, reboots: 1 });
      expect([bootId(), runs()]).toEqual(['boot-2', '1']);
    });

    it.runIf(isThorough)(
      'is left for the held kernel if not even the fired deadline can be written',
      async () => {
        await onTrial();
        const inTheWay = join(host.stateFolder, 'deadline-fired.json');
        await mkdir(join(inTheWay, 'x'), { recursive: true });
        await watchUntil(host, 'it boots boot-2', () => bootId() === 'boot-2', { rebootWithinMs: 300 });
        expect(runs()).toBe('1');
        // Here the deadline is due as well, and there is no other kernel to reboot into.
        await expect(
          watchUntil(host, 'it boots boot-3', () => bootId() === 'boot-3', {
            rebootWithinMs: 300,
            withinMs: 3_000,
          }).finally(() => rm(inTheWay, { recursive: true })),
        ).rejects.toThrow(/deadline-fired/);
        expect((await readArmed(host))?.version).toBe('7.0-2');
      },
    );

    it('is not swept, and no other is tried, once the board goes back', async () => {
      await onTrial();
      expect(await fire(host)).toBe(true);
      const says = { fault: 'host', message: expect.stringMatching(/own deadline has gone off/) };
      const paths = [
        { name: 'a', device: false },
        { name: 'b', device: false },
      ];
      const sweeping = { paths, rows: [{ name: 'r' }], version: '7.0-2', repeats: 1 };
      await expect(runStep('sweep', sweep, sweeping, host, fresh())).rejects.toMatchObject(says);
      expect(bootId()).toBe('boot-1');
    });
  });

  it('is not set, nor rebooted into, once the board’s deadline has gone off', async () => {
    await runStep('install', install, installing(), host, fresh());
    const { folder } = fresh();
    const loader = { ...host.boot.loader, setCommand: ['false'] } as typeof host.boot.loader;
    const unset = { ...host, boot: { ...host.boot, loader } };
    await expect(runStep('reboot', reboot, rebooting(), unset, { folder })).rejects.toThrow(/false/);
    await powerOn();
    expect(await fire(host)).toBe(true);
    await expect(runStep('reboot', reboot, rebooting(), host, { folder })).rejects.toMatchObject({
      ...{ fault: 'host', message: expect.stringMatching(/own deadline has gone off/) },
    });
    expect([bootId(), runs()]).toEqual(['boot-1', '1']);
    await powerOn();
    expect(runs()).toBe('1');
  });

  it('that is rolled back after it was confirmed holds the running kernel in the meantime', async () => {
    await runStep('install', install, installing(), host, fresh());
    await rebooted(fresh().folder);
    await runStep('confirm', confirm, kernel, host, fresh());
    const back = fresh();
    const request = {
      reason: { code: 'aborted', by: 'mfritsche', says: 'aborted' },
      from: '7.0-2',
      backup: held,
    } as const;
    await expect(runStep('rollback', rollback, request, unable(), back)).rejects.toThrow();
    await writeFile(join(board.root, 'boot/Image'), 'half');
    await powerOn();
    expect(runs()).toBe('2');
    await throughReboot(host, back.folder, (signal) =>
      runStep('rollback', rollback, request, host, { ...back, signal }),
    );
    expect([runs(), conf()]).toEqual(['1', extlinuxConf]);
    expect(await readFile(host.boot.initramfs, 'utf8')).toBe('initramfs from before\n');
  });
});
