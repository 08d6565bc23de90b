import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { backup } from '../../agents/board/backup.ts';
import { install } from '../../agents/board/install.ts';
import { rollback } from '../../agents/board/rollback.ts';
import { stage } from '../../agents/board/stage.ts';
import { names } from '../../agents/board/testing/test-packages.ts';
import { startUpgradableBoard, type UpgradableBoard } from '../../agents/board/testing/upgradable-board.ts';
import { Journal } from '../../agents/runtime/journal/journal.ts';
import { exampleProvenance } from '../../coordinator/testing/example-attestation.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { StepEvidence, StepRequest } from '../../schemas/steps.ts';
import { runStep } from '../run-step.ts';
import { faultRow } from './fault-row.ts';
import { fillDisk, mayMount } from './small-disk.ts';
import { pacmanLock, upgradingPacman } from './upgrading-pacman.ts';

const files = 3_000;

describe.skipIf(!mayMount)('a board whose disk is full (only root can mount a small one)', () => {
  let board: UpgradableBoard;
  let host: BoardConfig;
  let packages: StepRequest<'stage'>['packages'];
  let held: StepEvidence<'backup'>;
  const fresh = () => board.fresh();
  const fillers: NodeJS.Timeout[] = [];
  /** Fills a disk, and takes all room that becomes free, until the room is given back. */
  const fill = (folder: string) => {
    const ballast = fillDisk(folder);
    const filler = setInterval(() => ballast.add(), 5);
    fillers.push(filler);
    return () => {
      clearInterval(filler);
      return ballast.drop();
    };
  };
  const toInstall = () => ({
    ...{ packages, fingerprint: host.signing.fingerprint, from: '7.0-1', to: '7.0-2' },
    ...{ release: '7.0.0-fourier', backup: held },
    provenance: exampleProvenance(packages),
  });
  /** The version that is completely installed; undefined if none is. */
  const whole = async () => {
    if (existsSync(pacmanLock(host))) return undefined;
    const pacman = (...args: string[]) =>
      execa('pacman', ['--config', host.pacman.localConfigFile, ...args, ...names], { reject: false });
    const altered = (await pacman('-Qkk')).stdout.match(/, 0 altered files/g) ?? [];
    return altered.length === names.length ? (await pacman('-Q')).stdout.split(/\s/)[1] : undefined;
  };

  beforeAll(async () => {
    board = await startUpgradableBoard({ headers: [files, files], disks: { root: '40m', state: '60m' } });
    host = { ...board.host, reserveBytes: 4 * 1024 * 1024 };
    packages = board.published;
  });
  afterAll(async () => {
    for (const filler of fillers) clearInterval(filler);
    await board?.stop();
  });

  faultRow(
    'disk-full',
    'on the board: backup, download and install are refused before they begin',
    async () => {
      const request = { host: 'hertz', names, version: '7.0-1' };
      const full = {
        fault: 'host',
        message: expect.stringMatching(/ are free in .* needs .*: make room there/),
      };
      const refused = async (disk: string, step: () => Promise<unknown>) => {
        const giveBack = fill(disk);
        await expect(step()).rejects.toMatchObject(full).finally(giveBack);
      };
      await refused(host.stateFolder, () => runStep('backup', backup, request, host, fresh()));
      held = (await runStep('backup', backup, request, host, fresh())).evidence;
      await refused(host.stateFolder, () => runStep('stage', stage, board.staging(), host, fresh()));
      await runStep('stage', stage, board.staging(), host, fresh());

      const log = await readFile(host.pacman.logFile, 'utf8');
      const folder = fresh();
      await refused(host.root, () => runStep('install', install, toInstall(), host, folder));
      await refused(host.stateFolder, () => runStep('install', install, toInstall(), host, folder));
      const journal = new Journal(join(folder.folder, 'journal.db'));
      expect(journal.effects.begun({ iteration: 'iter5', step: 'install', attempt: 1 })).toEqual([]);
      journal.close();
      expect(await readFile(host.pacman.logFile, 'utf8')).toBe(log);
      expect(await whole()).toBe('7.0-1');
    },
  );

  faultRow(
    'disk-full',
    'on the board, in the middle of pacman: said so, and with room again the new version or the old one, whole',
    async () => {
      /** Runs a step, fills the disk once pacman has begun, and frees it afterwards. Returns the step's result. */
      const cutByFullDisk = async (step: () => Promise<unknown>) => {
        const said = step().then(
          () => 'done',
          (error: Error) => error.message,
        );
        // pacman is stopped meanwhile, since it could finish before the disk is full.
        const pacman = await upgradingPacman(host);
        process.kill(pacman, 'SIGSTOP');
        const giveBack = fill(host.root);
        try {
          process.kill(pacman, 'SIGCONT');
          await said;
          expect(await whole()).toBeUndefined();
        } finally {
          await giveBack();
        }
        return said;
      };
      const full = /half-way through linux-fourier.*\. The disk is full: make room\./;
      const installing = fresh();
      const go = () => runStep('install', install, toInstall(), host, installing);
      expect(await cutByFullDisk(go)).toMatch(full);
      await go();
      expect(await whole()).toBe('7.0-2');

      const back = {
        reason: { code: 'aborted', by: 'mfritsche', says: 'no room' },
        from: '7.0-2',
        backup: held,
      } as const;
      const rolling = fresh();
      expect(await cutByFullDisk(() => runStep('rollback', rollback, back, host, rolling))).toMatch(full);
      const down = new AbortController();
      const machine = setInterval(() => {
        if (readFileSync(host.bootIdFile, 'utf8') !== 'boot-0\n') down.abort();
      }, 20);
      const cut = runStep('rollback', rollback, back, host, { ...rolling, signal: down.signal });
      await expect(cut).rejects.toThrow();
      clearInterval(machine);
      const { evidence } = await runStep('rollback', rollback, back, host, rolling);
      expect(evidence.rebooted.outcome).toBe('new-kernel');
      expect(await whole()).toBe('7.0-1');
    },
  );
});
