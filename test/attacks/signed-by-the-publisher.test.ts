import { expect, onTestFinished } from 'vitest';
import { startEverydayBoard } from '../../agents/board/testing/everyday-pacman.ts';
import { pacmanCommand } from '../../agents/board/testing/temp-board.ts';
import { attestedBy, exampleBuild } from '../../coordinator/testing/example-attestation.ts';
import { attack } from './attack.ts';

attack(
  'signed-by-the-publisher',
  'a board’s everyday pacman takes nothing that the publisher alone has signed',
  async ({ skip }) => {
    if (pacmanCommand === undefined) return skip('pacman needs root or unshare -Ur');
    const board = await startEverydayBoard();
    onTestFinished(() => board.stop());
    const approved = [await board.makePackage('kernel')];
    await board.offer(approved, await board.prove(approved));
    expect(await board.everyday('-Syy', 'kernel')).toMatchObject({ exitCode: 0 });

    // Everything that the publisher can sign: packages and database. The proof of another package is at hand as well, and
    // one for another board; the publisher's own key attests the rest.
    const { provenance, ...about } = await board.prove(approved);
    const made = async (version: string) => [await board.makePackage('kernel', version)];
    const own = await made('5-1');
    const { packages } = await board.prove(own);
    const statement = exampleBuild(packages, { ...provenance, iteration: about.iteration, version: '5-1' });
    for (const [files, proof] of [
      [await made('2-1'), undefined],
      [await made('3-1'), { ...about, provenance }],
      [await made('4-1'), await board.prove(await made('4-1'), { board: 'ohm' })],
      [
        own,
        { ...about, packages, provenance: { ...provenance, attestation: attestedBy('hertz', statement) } },
      ],
    ] as const) {
      await board.offer(files, proof);
      const { exitCode, says } = await board.everyday('-Syyu');
      expect({ exitCode, says }).toMatchObject({
        exitCode: 1,
        says: expect.stringContaining('kernel of [ka] is not installed'),
      });
      expect((await board.byHand('-Q', 'kernel')).says.trim()).toBe('kernel 1-1');
    }
  },
  120_000,
);
