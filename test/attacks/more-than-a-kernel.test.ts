import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { startEverydayBoard } from '../../agents/board/testing/everyday-pacman.ts';
import { pacmanCommand } from '../../agents/board/testing/temp-board.ts';
import { patienceMs } from '../patience.ts';
import { makePackage } from '../tiny-package.ts';
import { attack } from './attack.ts';

attack(
  'more-than-a-kernel',
  'a board takes no package of a builder that brings what no kernel before did, unless people have signed for it',
  async ({ skip }) => {
    if (pacmanCommand === undefined) return skip('pacman needs root or unshare -Ur');
    const board = await startEverydayBoard();
    onTestFinished(() => board.stop());
    const image = { 'boot/Image': 'kernel' };
    const built = async (version: string, files: Record<string, string>) => [
      await makePackage(join(board.folder, 'made'), { name: 'kernel', version, files }),
    ];
    const before = await built('1-1', image);
    await board.offer(before, await board.prove(before));
    expect(await board.everyday('-Syy', 'kernel')).toMatchObject({ exitCode: 0 });

    // The builder attests whatever it has packed, and the approvals are of the sources.
    const cron = { ...image, 'etc/cron.d/kernel': '* * * * * root id' };
    for (const [version, files, named] of [
      ['2-1', cron, '/etc/cron.d/kernel'],
      ['3-1', { ...image, '.INSTALL': 'post_upgrade() { id; }' }, '/.INSTALL'],
    ] as const) {
      const packages = await built(version, files);
      await board.offer(packages, await board.prove(packages));
      const { exitCode, says } = await board.everyday('-Syyu');
      expect({ exitCode, says }).toMatchObject({ exitCode: 1, says: expect.stringContaining(named) });
      expect((await board.byHand('-Q', 'kernel')).says.trim()).toBe('kernel 1-1');
    }

    const wanted = await built('4-1', cron);
    const allows = [{ path: '/etc/cron.d/kernel', because: 'it is wanted' }];
    const change = (plan: { package: object }) => void Object.assign(plan.package, { allows });
    await board.offer(wanted, await board.prove(wanted, { change }));
    expect(await board.everyday('-Syyu')).toMatchObject({ exitCode: 0 });
  },
  patienceMs,
);
