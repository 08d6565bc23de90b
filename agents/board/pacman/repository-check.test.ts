import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRun } from '../../../host/run.ts';
import { proofAtMostBytes, proofSuffix } from '../../../schemas/attestation.ts';
import { type EverydayBoard, startEverydayBoard } from '../testing/everyday-pacman.ts';
import { pacmanCommand } from '../testing/temp-board.ts';
import { sign } from '../testing/test-packages.ts';

describe.skipIf(pacmanCommand === undefined)('an everyday pacman (needs root or unshare -Ur)', () => {
  let board: EverydayBoard;
  beforeAll(async () => {
    board = await startEverydayBoard();
  });
  afterAll(() => board?.stop());
  const refused = async (names: string[], why: RegExp) => {
    const { exitCode, says } = await board.everyday('-Syy', ...names);
    expect({ exitCode, says }).toMatchObject({ exitCode: 1, says: expect.stringMatching(why) });
    for (const name of names) expect(await board.installed(name)).toBe(false);
  };

  it('takes packages that a builder attests and people have approved for this board', async () => {
    const files = await Promise.all(['good', 'good-headers'].map((name) => board.makePackage(name)));
    await board.offer(files, await board.prove(files));
    // One of the two, and then both by an upgrade of everything.
    expect(await board.everyday('-Syy', 'good')).toMatchObject({ exitCode: 0 });
    const next = await Promise.all(['good', 'good-headers'].map((name) => board.makePackage(name, '2-1')));
    await board.offer(next, await board.prove(next));
    const { exitCode, says } = await board.everyday('-Syyu', 'good-headers');
    expect({ exitCode, says }).toMatchObject({ exitCode: 0 });
    expect((await board.byHand('-Q', 'good', 'good-headers')).says.trim()).toBe('good 2-1\ngood-headers 2-1');
  });

  it('takes nothing at all if one package has no proof, and says what to do', async () => {
    const files = [await board.makePackage('bare')];
    await board.offer(files);
    await refused(['good-tools', 'bare'], /target not found/);
    const good = [await board.makePackage('good-tools')];
    await board.offer(good, await board.prove(good));
    await refused(
      ['good-tools', 'bare'],
      /bare of \[ka\] is not installed: http\S*bare-1-1-any\.pkg\.tar\.zst\.provenance\.json gives no proof .*--ignore bare; .* by hand with: pacman --config \S+local\.conf -U/,
    );
    expect(await board.everyday('-Syyu', '--ignore', 'bare')).toMatchObject({ exitCode: 0 });
  });

  it('takes nothing of which the proof is about something else', async () => {
    const make = async (name: string, about: Parameters<EverydayBoard['prove']>[1] = {}) => {
      const files = [await board.makePackage(name)];
      return { files, proof: await board.prove(files, about) };
    };
    const other = await make('for-ohm', { board: 'ohm' });
    await board.offer(other.files, other.proof);
    await refused(['for-ohm'], /was reviewed and built for ohm, and this is fresnel/);

    const changed = await make('changed');
    await board.offer([await board.makePackage('changed', '1-1', 'other text')], changed.proof);
    await refused(['changed'], /its proof is about [0-9a-f]{64}, and \S+ has the sha256/);

    const unasked = await make('unasked');
    const { provenance } = unasked.proof;
    await board.offer(unasked.files, { ...unasked.proof, provenance: { ...provenance, approvals: [] } });
    await refused(['unasked'], /Nobody has approved the trees/);

    const moved = await make('moved');
    await board.offer(moved.files, { ...moved.proof, iteration: 'iter6' });
    await refused(['moved'], /is about the iteration iter5; expected iter6/);

    // The list says that the package is in the build, and the builder has not.
    const added = await make('added');
    const listed = [...unasked.proof.packages, ...added.proof.packages];
    await board.offer(added.files, { ...unasked.proof, packages: listed });
    await refused(['added'], /is about the packages/);
  });

  it('reads no proof that is none, or that does not end', async () => {
    const files = [await board.makePackage('odd')];
    await board.offer(files, '{"iteration": 5}');
    await refused(['odd'], /is no proof of a package/);
    await writeFile(
      join(board.repository, `${basename(files[0] ?? '')}${proofSuffix}`),
      ' '.repeat(proofAtMostBytes + 1),
    );
    await refused(['odd'], /gives no proof of it/);
  });

  it('takes a file by hand with the configuration that has no repositories, and not with the everyday one', async () => {
    const [file = ''] = [await board.makePackage('by-hand')];
    await board.offer([file], await board.prove([file]));
    await board.everyday('-Syy');
    const tried = await board.everyday('-U', file);
    expect(tried).toMatchObject({ exitCode: 1, says: expect.stringMatching(/given to pacman -U/) });
    expect(await board.byHand('-U', file)).toMatchObject({ exitCode: 0 });
  });

  it('checks a repository at that address whatever it is called, and none of somebody else', async () => {
    const { configFile } = board.host.pacman;
    const before = await readFile(configFile, 'utf8');
    const renamed = before.replace('[ka]', '[renamed]').replace(/(Server = .*)$/m, '$1/');
    const extra = join(board.folder, 'extra');
    const run = createRun(() => undefined);
    const [file = ''] = [await board.makePackage('foreign')];
    await sign(board.key, file);
    await mkdir(extra);
    for (const each of [file, `${file}.sig`]) await cp(each, join(extra, basename(each)));
    await run(['repo-add', '-q', 'extra.db.tar.gz', basename(file)], { cwd: extra });
    const bare = await board.makePackage('bare-too');
    await board.offer([bare]);
    for (const kind of ['db', 'files'])
      await cp(join(board.repository, `ka.${kind}`), join(board.repository, `renamed.${kind}`));
    await writeFile(configFile, `${renamed}[extra]\nServer = file://${extra}\n`);
    try {
      await refused(['bare-too'], /bare-too of \[renamed\] is not installed/);
      expect(await board.everyday('-Syy', 'foreign')).toMatchObject({ exitCode: 0 });
    } finally {
      await writeFile(configFile, before);
    }
  });
});
