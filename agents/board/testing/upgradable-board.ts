import { cp } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { StepEvidence } from '../../../schemas/steps.ts';
import { runStep } from '../../../test/run-step.ts';
import { backup } from '../backup.ts';
import { stage } from '../stage.ts';
import type { SignedPackage } from '../staged.ts';
import { type Disks, startTempBoard } from './temp-board.ts';
import { names } from './test-packages.ts';

/**
 * A temporary board on which 7.0-1 is installed and cached and runs. 7.0-2 is in the repository.
 * @param headers How many files 7.0-1 and 7.0-2 have: some hundreds make pacman slow enough to be killed half-way.
 */
export const startUpgradableBoard = async ({
  headers: [ofFirst, ofSecond] = [20, 20],
  disks,
}: {
  headers?: [number, number];
  disks?: Disks;
} = {}) => {
  const board = await startTempBoard(disks);
  try {
    const { host } = board;
    const [first, second] = await Promise.all([
      board.build('7.0-1', ofFirst),
      board.build('7.0-2', ofSecond),
    ]);
    for (const file of first)
      for (const one of [file, `${file}.sig`]) await cp(one, join(host.pacman.cacheFolder, basename(one)));
    await board.pacman('-U', ...first);
    await board.boot('boot-0');
    const published = await board.publish(second);
    const staging = (packages: SignedPackage[] = published) => ({
      packages,
      fingerprint: host.signing.fingerprint,
      lan: { host: 'hertz', view: 'v1' },
    });
    return {
      ...board,
      /** The paths of the packages of 7.0-1. */
      first,
      /** The paths of the packages of 7.0-2. */
      second,
      /** How a request describes 7.0-2. */
      published,
      /** The request of `stage`. */
      staging,
      /** Backs 7.0-1 up. */
      hold: async (): Promise<StepEvidence<'backup'>> => {
        const request = { host: 'hertz', names, version: '7.0-1' };
        return (await runStep('backup', backup, request, host, board.fresh())).evidence;
      },
      /** Stages 7.0-2. */
      stage: async (): Promise<void> => {
        await runStep('stage', stage, staging(), host, board.fresh());
      },
    };
  } catch (error) {
    await board.stop();
    throw error;
  }
};

export type UpgradableBoard = Awaited<ReturnType<typeof startUpgradableBoard>>;
