import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { appendFile, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { createRun } from '../../../host/run.ts';
import type { BoardConfig } from '../../../schemas/config.ts';
import type { StepEvidence } from '../../../schemas/steps.ts';
import { withBundledWorker } from '../../../test/bundled-worker.ts';
import { patienceMs } from '../../../test/patience.ts';
import { runStep } from '../../../test/run-step.ts';
import { isThorough } from '../../../test/thorough/thorough.ts';
import { Journal } from '../../runtime/journal/journal.ts';
import { backupFile } from '../backup-archive.ts';
import { readBoot } from '../boot.ts';
import { confirm } from '../confirm.ts';
import { reboot } from '../reboot.ts';
import { rollback } from '../rollback.ts';
import { pacmanCommand } from '../testing/temp-board.ts';
import { names } from '../testing/test-packages.ts';
import { startUpgradableBoard, type UpgradableBoard } from '../testing/upgradable-board.ts';
import { watchUntil as watchBoardUntil } from '../testing/watch-until.ts';
import { throughReboot } from '../through-reboot.ts';
import {
  arm,
  deadlineWorkFolder,
  disarm,
  fire,
  readArmed,
  readFired,
  readReport,
  reportFile,
  seenFile,
} from './deadline.ts';
import { deadlinePassed } from './deadline-passed.ts';

const kernel = { names, version: '7.0-2', release: '7.0.0-fourier' };

describe.skipIf(pacmanCommand === undefined)('the board’s own deadline', () => {
  let board: UpgradableBoard;
  let host: BoardConfig;
  let held: StepEvidence<'backup'>;
  const fresh = () => board.fresh();
  const bootId = () => readFileSync(host.bootIdFile, 'utf8').trim();
  const installed = async () => (await board.pacman('-Q', ...names)).stdout.trim().split(/\s/)[1];
  const notes: string[] = [];
  const until = async (what: string, holds: () => Promise<boolean> | boolean, ms = patienceMs) => {
    for (const end = Date.now() + ms; !(await holds()); await sleep(10))
      if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms; ${notes.join('\n')}`);
  };
  const armed = async (seconds: number) =>
    arm(host, {
      ...{ iteration: 'iter5', attempt: 1, boot: await readBoot(host) },
      ...{ seconds, version: '7.0-2', backup: held },
    });
  const watchUntil = (what: string, holds: () => Promise<boolean> | boolean) =>
    watchBoardUntil(host, what, holds, { notes });
  const isOver = async () => (await readReport(host))?.over === true;
  const rebootNow = () => createRun(() => undefined)(host.boot.rebootCommand);

  beforeAll(async () => {
    board = await startUpgradableBoard({ headers: [20, 300] });
    host = board.host;
    held = await board.hold();
  });
  afterAll(() => board?.stop());
  /** 7.0-2 is installed, 7.0-1 runs, nothing is armed and nothing went off. */
  beforeEach(async () => {
    await board.forgetDeadline();
    if ((await installed()) !== '7.0-2') await board.pacman('-U', '--overwrite', '*', ...board.second);
    await board.boot('boot-0');
    notes.length = 0;
  });

  it('is not armed without its archive, and is either called off or goes off, never both', async () => {
    const archive = backupFile(host, held);
    await rm(archive);
    await expect(armed(60)).rejects.toThrow(/make the backup again/);
    expect(await readArmed(host)).toBeUndefined();
    await cp(join(board.folder, 'peer', held.place, held.archive.file), archive);
    await armed(60);
    expect(await readArmed(host)).toMatchObject({ iteration: 'iter5', boot: { bootId: 'boot-0' }, archive });
    expect(
      (await Promise.all([disarm(host), fire(host)])).map((won) => won === 'disarmed' || won === true),
    ).toEqual(expect.arrayContaining([true, false]));
    expect(await fire(host)).toBe(false);
  });

  it('does nothing in the boot that armed it, nor once it is called off', async () => {
    const quiet = async (ms: number) => {
      const end = Date.now() + ms;
      await watchUntil('the time is over', () => Date.now() > end);
      expect(await readFired(host)).toBeUndefined();
    };
    await armed(1);
    await quiet(1_300);
    await rebootNow();
    const { evidence } = await runStep('confirm', confirm, kernel, host, fresh());
    expect(evidence).toMatchObject({ deadline: 'disarmed', version: '7.0-2', boot: { bootId: 'boot-1' } });
    const log = await readFile(host.pacman.logFile, 'utf8');
    await quiet(1_300);
    expect(await readFile(host.pacman.logFile, 'utf8')).toBe(log);
    expect(bootId()).toBe('boot-1');
  });

  it('is called off once, also by a confirm that was cut, but not for another kernel than the verified one', async () => {
    await board.boot('boot-0');
    await armed(60);
    await writeFile(
      host.procVersionFile,
      'Linux version 7.0.0-fourier (builder@boltzmann) (gcc 12) #1 SMP\n',
    );
    await expect(runStep('confirm', confirm, kernel, host, fresh())).rejects.toThrow(
      /runs Linux version .* another kernel/,
    );
    await rebootNow();
    await expect(runStep('confirm', confirm, { ...kernel, version: '7.0-3' }, host, fresh())).rejects.toThrow(
      /7\.0-2 is installed/,
    );
    expect(await readArmed(host)).toBeDefined();
    const cut = fresh();
    await mkdir(cut.folder, { recursive: true });
    const journal = new Journal(join(cut.folder, 'journal.db'));
    journal.effects.noteIntent({ iteration: 'iter5', step: 'confirm', attempt: 1 }, 'disarm', 'null');
    journal.close();
    await disarm(host); // the agent is killed before the result is journalled
    expect((await runStep('confirm', confirm, kernel, host, cut)).evidence.deadline).toBe('disarmed');
    expect(
      (await runStep('confirm', confirm, kernel, host, { ...fresh(), iteration: 'iter6' })).evidence.deadline,
    ).toBe('none');
  });

  it('takes an unconfirmed kernel away once, with one reboot, after which rollback has nothing to do', async () => {
    await armed(1);
    await rebootNow();
    await watchUntil('it reboots', () => bootId() === 'boot-2');
    expect(existsSync(deadlineWorkFolder(host))).toBe(false);
    const told = await deadlinePassed(host); // the agent comes first
    expect(await installed()).toBe('7.0-1');
    await expect(runStep('confirm', confirm, kernel, host, fresh())).rejects.toThrow(/deadline has gone off/);
    await watchUntil('it sees the new boot', isOver);
    expect(await readReport(host)).toMatchObject({ restored: true, tries: 1, reboots: 1 });
    expect(told).toMatchObject({
      type: 'DeadlinePassed',
      iteration: 'iter5',
      attempt: 1,
      data: {
        because: 'nobody confirmed 7.0-2 within 1 s of its boot',
        restored: true,
        version: '7.0-1',
        unconfirmed: { bootId: 'boot-1', procVersion: expect.stringContaining('#2 SMP') },
        now: { bootId: 'boot-2', procVersion: expect.stringContaining('#1 SMP') },
      },
    });
    const log = await readFile(host.pacman.logFile, 'utf8');
    const request = {
      reason: { code: 'aborted', by: 'mfritsche', says: 'unconfirmed' },
      from: '7.0-2',
      backup: held,
    } as const;
    const { evidence } = await runStep('rollback', rollback, request, host, fresh());
    expect(evidence.rebooted).toMatchObject({
      outcome: 'new-kernel',
      package: '7.0-1',
      before: { bootId: 'boot-1' },
      after: { bootId: 'boot-2' },
    });
    const end = Date.now() + 500;
    await watchUntil('it stays quiet', () => Date.now() > end);
    expect(bootId()).toBe('boot-2');
    expect(await readFile(host.pacman.logFile, 'utf8')).toBe(log);

    // Another iteration's backup may be the same file: its rollback requests its own reboot.
    const { folder } = fresh();
    const again = await throughReboot(host, folder, (signal) =>
      runStep('rollback', rollback, request, host, { folder, iteration: 'iter6', signal }),
    );
    expect(bootId()).toBe('boot-3');
    expect(again.evidence.rebooted.before.bootId).toBe('boot-2');
    expect(await deadlinePassed(host)).toEqual(told);
  });

  it('lets the reboot step report that the board fell back, if its agent comes up only then', async () => {
    const { folder } = fresh();
    const agent = new AbortController();
    const request = { ...kernel, backup: held };
    const cut = runStep('reboot', reboot, request, host, { folder, signal: agent.signal }).catch(
      () => undefined,
    );
    try {
      await until('the board reboots', () => bootId() === 'boot-1');
    } finally {
      agent.abort();
      await cut;
    }
    await writeFile(
      join(host.stateFolder, 'deadline.json'),
      JSON.stringify({ ...(await readArmed(host)), seconds: 1 }),
    );
    await watchUntil('it reboots', () => bootId() === 'boot-2');
    await watchUntil('it sees the new boot', isOver);
    const { evidence } = await runStep('reboot', reboot, request, host, { folder });
    expect(evidence).toMatchObject({
      outcome: 'fell-back',
      fellBack: { how: 'deadline', says: 'nobody confirmed 7.0-2 within 1 s of its boot' },
      package: '7.0-1',
      imageBanner: expect.stringContaining('#2 SMP'),
      before: { bootId: 'boot-0' },
      after: { bootId: 'boot-2' },
    });
  });

  it('goes on after SIGKILL anywhere, does not start counting again, and puts back and reboots once', () =>
    withBundledWorker('../agents/board/deadline-main.ts', async (main) => {
      const config = join(board.folder, 'config.yaml');
      await writeFile(config, stringify(host));
      const log = (await readFile(host.pacman.logFile, 'utf8')).length;
      await armed(3);
      await rebootNow();
      const since = Date.now();
      /** Starts the daemon, and kills it some time after it has got that far. */
      const killedAfter = async (what: string, isSo: (said: string) => boolean, ms: number) => {
        const daemon = spawn(process.execPath, [main, '--config', config], {
          stdio: ['ignore', 'ignore', 'pipe'],
        });
        const ended = once(daemon, 'exit');
        let said = '';
        daemon.stderr.on('data', (piece: Buffer) => {
          said += piece.toString();
        });
        const over = async () => isSo(said) || (await isOver());
        try {
          await until(what, over);
        } finally {
          await sleep(ms);
          daemon.kill('SIGKILL');
          await ended;
        }
      };
      const isSeen = () => existsSync(join(host.stateFolder, 'deadline-seen.json'));
      for (const ms of [50, 400]) await killedAfter('it counts', isSeen, ms);
      for (const ms of [0, 60, 120, 240])
        await killedAfter('it goes back', (said) => /back to 7/.test(said), ms);
      // Here the reboot does not kill the daemon, as it would on a board.
      await killedAfter('it reboots', () => bootId() === 'boot-2', 0);
      await killedAfter('it is over', () => false, 0);
      expect(Date.now() - since).toBeGreaterThan(3_000);
      expect(await readReport(host)).toMatchObject({ restored: true, reboots: 1 });
      expect(bootId()).toBe('boot-2');
      expect((await board.pacman('-Qkk', ...names)).stdout).toMatch(/ 0 altered files/);
      expect(existsSync(join(host.pacman.databaseFolder, 'db.lck'))).toBe(false);
      const logged = (await readFile(host.pacman.logFile, 'utf8')).slice(log);
      expect(logged.match(/downgraded linux-fourier /g)).toHaveLength(1);
    }));

  it('gives up after three tries without a reboot, and a rollback may still succeed', async () => {
    await armed(1);
    await rebootNow();
    await appendFile(backupFile(host, held), 'x');
    await mkdir(deadlineWorkFolder(host), { recursive: true });
    await watchUntil('it gives up', isOver);
    expect(await readReport(host)).toMatchObject({ restored: false, tries: 3, reboots: 0 });
    expect([bootId(), await installed()]).toEqual(['boot-1', '7.0-2']);
    expect(existsSync(deadlineWorkFolder(host))).toBe(false);
    expect(await deadlinePassed(host)).toMatchObject({
      data: {
        restored: false,
        because: expect.stringMatching(/3 tries .* failed: .* no longer has the sha256/),
      },
    });
    const { folder } = fresh();
    const request = {
      reason: { code: 'aborted', by: 'mfritsche', says: 'unconfirmed' },
      from: '7.0-2',
      backup: held,
    } as const;
    const { evidence } = await throughReboot(host, folder, (signal) =>
      runStep('rollback', rollback, request, host, { folder, signal }),
    );
    expect(bootId()).toBe('boot-2');
    expect(evidence.rebooted).toMatchObject({ outcome: 'new-kernel', before: { bootId: 'boot-1' } });
  });

  it('goes off, ends, and reboots once on a full disk, and reports it once there is room', async () => {
    const noRoom = [seenFile(host), reportFile(host)].map((file) => `${file}.${process.pid}.part`);
    await armed(1);
    await rebootNow();
    for (const folder of noRoom) await mkdir(folder);
    await watchUntil('it reboots', () => bootId() === 'boot-2');
    expect(await installed()).toBe('7.0-1');
    // The new boot's watch knows nothing, and finds everything as it should be.
    const full = Date.now() + 1_500;
    await watchUntil('it is over', async () => {
      if (Date.now() < full) return false;
      for (const folder of noRoom) await rm(folder, { recursive: true, force: true });
      return isOver();
    });
    expect(await readReport(host)).toMatchObject({ restored: true, overIn: { bootId: 'boot-2' } });
    expect(bootId()).toBe('boot-2');
  });

  it.runIf(isThorough)('gives up after three tries also on a full disk', async () => {
    const noRoom = `${reportFile(host)}.${process.pid}.part`;
    await armed(1);
    await rebootNow();
    await mkdir(noRoom);
    const archive = backupFile(host, held);
    await rm(archive);
    await watchUntil('it gives up', () => notes.some((line) => /given up/.test(line)));
    expect(notes.filter((line) => /back to 7/.test(line))).toHaveLength(3);
    await rm(noRoom, { recursive: true });
    await cp(join(board.folder, 'peer', held.place, held.archive.file), archive);
  });

  it('is not killed in the same boot for ever', async () => {
    await armed(60);
    await rebootNow();
    await fire(host);
    const tries = () => notes.filter((line) => /back to 7.*try 1 of 3/.test(line)).length;
    for (let starts = 1; starts <= 10; starts += 1)
      await watchUntil('it has begun', () => tries() === starts);
    expect(await readReport(host)).toMatchObject({ tries: 1, starts: 10, restored: null });
    await watchUntil('it gives up', isOver);
    expect(await readReport(host)).toMatchObject({
      restored: false,
      reboots: 0,
      because: expect.stringContaining('begun 10 times in one boot'),
      overIn: { bootId: 'boot-1' },
    });
  });

  it('goes back although the key has expired since, or seems so by the clock', async () => {
    await board.expireKey('seconds=1');
    try {
      const cached = names.map((name) => join(host.pacman.cacheFolder, `${name}-7.0-1-any.pkg.tar.zst`));
      await expect(board.pacman('-U', ...cached)).rejects.toThrow(/PGP signature/);
      await armed(1);
      await rebootNow();
      await watchUntil('it reboots', () => bootId() === 'boot-2');
      expect(await installed()).toBe('7.0-1');
      expect(await readReport(host)).toMatchObject({ restored: true, tries: 1 });
    } finally {
      await board.expireKey('never');
    }
  });

  it('does not blame the new kernel for another kernel’s missing network', async () => {
    await armed(1);
    await board.boot('boot-1');
    const old = (await readFile(host.procVersionFile, 'utf8')).trim().replace('#2', '#1');
    await writeFile(host.procVersionFile, `${old}\n`);
    await watchUntil('it goes off', async () => (await readReport(host)) !== undefined);
    expect((await readReport(host))?.because).toBe(
      `7.0-2 ended before it was confirmed, and ${old} runs since`,
    );
  });

  it('does not wait for a kernel that never stays up that long, and does not count boots of another kernel', async () => {
    await armed(3600);
    const { procVersion } = await readBoot(host);
    for (const cut of ['cut-1', 'cut-2', 'cut-3', 'cut-4']) {
      await board.boot(cut);
      await writeFile(host.procVersionFile, `${procVersion.replace('#2', '#1')}\n`);
      const end = Date.now() + 200;
      await watchUntil('some time is over', () => Date.now() > end);
      expect(await readFired(host)).toBeUndefined();
    }
    await board.boot('boot-0');
    for (let boots = 1; boots <= 3; boots += 1) {
      await rebootNow();
      const end = Date.now() + 200;
      await watchUntil('some time is over', () => Date.now() > end);
      expect(await readFired(host)).toBeUndefined();
    }
    await rebootNow();
    await watchUntil('it reboots', () => bootId() === 'boot-5');
    expect((await readReport(host))?.because).toBe('7.0-2 booted 4 times and nobody confirmed it');
    expect(await installed()).toBe('7.0-1');
  });
});
