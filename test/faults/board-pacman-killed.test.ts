import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { install } from '../../agents/board/install.ts';
import { names } from '../../agents/board/testing/test-packages.ts';
import { startUpgradableBoard, type UpgradableBoard } from '../../agents/board/testing/upgradable-board.ts';
import { exampleProvenance } from '../../coordinator/testing/example-attestation.ts';
import { exampleFleet } from '../../coordinator/testing/example-plan.ts';
import { killTree } from '../../deploy/processes/process-tree.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import { withBundledWorker } from '../bundled-worker.ts';
import { runStep } from '../run-step.ts';
import { faultRow } from './fault-row.ts';
import type { Installing } from './installing-agent.ts';
import { pacmanLock, upgradingPacman } from './upgrading-pacman.ts';

/** With this many files, an upgrade takes a quarter of a second. */
const files = 700;
const pointsOfEach = 25;
/** How many of the kills have to leave half a version, or the test proves nothing. */
const halves = 13;
/** The moments that are tried: further rounds follow if a busy machine has made too many of the first come too late. */
function* moments(isEnough: () => boolean): Generator<number> {
  for (let round = 0; round === 0 || (!isEnough() && round < 4); round += 1)
    for (let point = 0; point < pointsOfEach; point += 1) yield point;
}

describe('an upgrade that is killed', () => {
  let board: UpgradableBoard;
  let host: BoardConfig;
  let request: StepRequest<'install'>;
  let pristine: string;
  const fresh = () => board.fresh().folder;
  const lock = () => pacmanLock(host);
  const pacmanStarted = () => upgradingPacman(host);
  const goBack = () => execa('rsync', ['--archive', '--delete', `${pristine}/`, `${board.root}/`]);
  /** Whether the installed version is incomplete: a file is missing, or pacman's lock is there. */
  const isHalf = async () => {
    if (existsSync(lock())) return true;
    const { stdout } = await execa('pacman', ['--config', host.pacman.localConfigFile, '-Qkk', ...names], {
      reject: false,
    });
    return (stdout.match(/, 0 altered files/g) ?? []).length !== names.length;
  };
  /** The step's agent comes back and goes on. pacman then checks the result, file by file. */
  const repaired = async (folder: string) => {
    const { evidence } = await runStep('install', install, request, host, { folder });
    expect(evidence.version).toBe('7.0-2');
    expect(evidence.packages.map(({ version, filesAltered }) => [version, filesAltered])).toEqual([
      ['7.0-2', []],
      ['7.0-2', []],
    ]);
    expect(evidence.packages[1]?.filesChecked).toBeGreaterThan(files);
    expect(evidence.initramfs.sha256).toBe(evidence.image.sha256);
    expect(existsSync(lock())).toBe(false);
    expect(await isHalf()).toBe(false);
  };
  /** @param agentFile the bundled `installing-agent.ts`. */
  const asProcess = async (agentFile: string, folder: string) => {
    await mkdir(folder, { recursive: true });
    const installing: Installing = { request, host, folder, fleet: exampleFleet };
    await writeFile(join(folder, 'installing.json'), JSON.stringify(installing));
    return spawn(process.execPath, [agentFile, join(folder, 'installing.json')], { stdio: 'ignore' });
  };

  beforeAll(async () => {
    board = await startUpgradableBoard({ headers: [files, files] });
    ({ host } = board);
    await board.stage();
    request = {
      ...{ packages: board.published, fingerprint: host.signing.fingerprint, from: '7.0-1', to: '7.0-2' },
      ...{ release: '7.0.0-fourier', backup: await board.hold() },
      provenance: exampleProvenance(board.published),
    };
    pristine = join(board.folder, 'pristine');
    await execa('cp', ['--archive', board.root, pristine]);
  });
  afterAll(() => board?.stop());

  /** Measures how long pacman takes, and the step from pacman's start to its end. */
  const measured = async () => {
    const step = runStep('install', install, request, host, { folder: fresh() });
    const pid = await pacmanStarted();
    const start = performance.now();
    while (existsSync(`/proc/${pid}`)) await sleep(2);
    const pacmanMs = performance.now() - start;
    await step;
    const stepMs = performance.now() - start;
    await goBack();
    return { pacmanMs, stepMs };
  };

  faultRow(
    'pacman-killed',
    `pacman, at ${pointsOfEach} moments: the next try brings the new version, whole`,
    async () => {
      let { pacmanMs } = await measured();
      let half = 0;
      for (const point of moments(() => half >= halves)) {
        const folder = fresh();
        const cut = runStep('install', install, request, host, { folder }).then(
          () => 'done',
          () => 'cut',
        );
        const pid = await pacmanStarted();
        await sleep((pacmanMs * point) / pointsOfEach);
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          pacmanMs *= 0.8; // it had already ended this time: the machine was busier when it was measured
        }
        await cut;
        if (await isHalf()) half += 1;
        await repaired(folder);
        await goBack();
      }
      expect(half).toBeGreaterThanOrEqual(halves);
    },
  );

  faultRow(
    'pacman-killed',
    `the agent, at ${pointsOfEach} moments, alone or with pacman: the next agent brings the new version, whole`,
    () =>
      withBundledWorker('faults/installing-agent.ts', async (agentFile) => {
        const { stepMs } = await measured();
        const seen = { alone: 0, 'with children': 0 };
        for (const point of moments(() => Object.values(seen).every((half) => half > 3))) {
          const folder = fresh();
          const how = point % 2 === 0 ? 'alone' : 'with children';
          const agent = await asProcess(agentFile, folder);
          const ended = once(agent, 'exit');
          try {
            await pacmanStarted();
            await sleep((stepMs * point) / pointsOfEach);
            if (how === 'with children' && agent.pid !== undefined && agent.exitCode === null)
              killTree(agent.pid);
          } finally {
            agent.kill('SIGKILL');
            await ended;
          }
          if (await isHalf()) seen[how] += 1;
          await repaired(folder);
          await goBack();
        }
        expect(seen.alone).toBeGreaterThan(3);
        expect(seen['with children']).toBeGreaterThan(3);
      }),
  );
});
