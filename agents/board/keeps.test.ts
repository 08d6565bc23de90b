import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createRun } from '../../host/run.ts';
import type { AttemptId } from '../../schemas/attempt-id.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { HostIterations } from '../runtime/disks/host-iterations.ts';
import { overLimit } from '../runtime/disks/over-limit.ts';
import { backupsFolder } from './backups-folder.ts';
import { arm } from './deadline/deadline.ts';
import { boardKeeps } from './keeps.ts';
import { pacmanCommand } from './testing/temp-board.ts';
import { startUpgradableBoard, type UpgradableBoard } from './testing/upgradable-board.ts';

const tools = { run: createRun(() => undefined), signal: new AbortController().signal };
const nothingOpen: HostIterations = {
  isOpen: () => false,
  openAttempts: () => [],
  effect: () => undefined,
  requestOf: () => ({ host: 'hertz', names: [], version: '7.0-1' }),
};
const backupEnded: AttemptId = { iteration: 'iter5', step: 'backup', attempt: 1 };

describe.skipIf(pacmanCommand === undefined)('what a board keeps (pacman needs root or unshare -Ur)', () => {
  let board: UpgradableBoard;
  let host: BoardConfig;
  beforeAll(async () => {
    board = await startUpgradableBoard();
    host = board.host;
  });
  afterAll(() => board?.stop());
  beforeEach(async () => {
    await board.forgetDeadline();
    for (const kept of await kindOf('backups')) await kept.remove();
  });

  const kindOf = async (kind: 'backups' | 'copies', iterations = nothingOpen, after?: AttemptId) => {
    const found = boardKeeps(host, tools).find((each) => each.kind === kind);
    return (await found?.list(iterations, after)) ?? [];
  };
  /** A backup here, so many hours old, and its copy on the backup host. */
  const backedUp = async (version: string, name: string, hours: number) => {
    const file = `${version}-${name}.tar.zst`;
    const at = new Date(Date.now() - hours * 3_600_000);
    const there = join(host.peers.hertz?.folder ?? '', host.host, version, file);
    const here = join(backupsFolder(host, version), file);
    for (const path of [here, there]) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, name);
      await writeFile(`${path}.json`, '{}');
      await utimes(path, at, at);
    }
    return here;
  };
  const clean = async (kind: 'backups' | 'copies', iterations = nothingOpen, after?: AttemptId) => {
    const kept = await kindOf(kind, iterations, after);
    for (const one of overLimit(kept, { number: 1 }, { now: Date.now(), sizeOf: () => 0 }))
      await one.remove();
  };
  const archivesBelow = async (folder: string) =>
    (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.tar.zst')).sort();
  const here = () => archivesBelow(join(host.stateFolder, 'backups'));

  it('keeps the last backup, and the last one of what is installed', async () => {
    await backedUp('7.0-1', 'old', 9);
    await backedUp('7.0-1', 'installed', 8);
    await backedUp('6.9-1', 'other', 7);
    await backedUp('6.9-2', 'last', 6);
    await clean('backups');
    expect(await here()).toEqual(['6.9-2/6.9-2-last.tar.zst', '7.0-1/7.0-1-installed.tar.zst']);
    expect(await readdir(join(host.stateFolder, 'backups'))).not.toContain('6.9-1');
  });

  it('keeps those of iterations that go on, whatever their time says', async () => {
    await backedUp('6.9-1', 'open', 90);
    await backedUp('6.9-1', 'other', 80);
    await backedUp('6.9-2', 'last', 6);
    await clean('backups', {
      ...nothingOpen,
      openAttempts: () => [backupEnded],
      effect: () => ({ before: null, result: { archive: { file: '6.9-1-open.tar.zst' } } }),
    });
    expect(await here()).toEqual(['6.9-1/6.9-1-open.tar.zst', '6.9-2/6.9-2-last.tar.zst']);
  });

  it('keeps the one that its own deadline goes back to', async () => {
    const held = await board.hold();
    const made = join(backupsFolder(host, held.version), held.archive.file);
    const old = new Date(0);
    await utimes(made, old, old);
    await backedUp('7.0-1', 'newer', 5);
    await backedUp('6.9-1', 'last', 4);
    const boot = { bootId: 'boot-0', release: 'r', procVersion: 'v' };
    await arm(host, { iteration: 'iter5', attempt: 1, boot, version: '7.0-2', seconds: 60, backup: held });
    await clean('backups');
    expect(await here()).toContain(`${held.version}/${held.archive.file}`);
    await board.forgetDeadline();
    await clean('backups');
    expect(await here()).not.toContain(`${held.version}/${held.archive.file}`);
  });

  it('looks at the copies when a backup has ended, and removes those that it does not hold itself', async () => {
    const there = join(host.peers.hertz?.folder ?? '', host.host);
    for (const kept of await kindOf('copies', nothingOpen, backupEnded)) await kept.remove();
    await backedUp('6.9-1', 'old', 9);
    for (const kept of await kindOf('backups')) await kept.remove();
    await backedUp('6.9-2', 'held', 8);
    await backedUp('6.9-3', 'last', 7);
    expect(await kindOf('copies')).toBeDefined();
    await clean('copies', nothingOpen, backupEnded);
    expect(await archivesBelow(there)).toEqual(['6.9-2/6.9-2-held.tar.zst', '6.9-3/6.9-3-last.tar.zst']);
    expect(await readdir(there)).not.toContain('6.9-1');
    // What was seen then is what is shown later, also by the next process.
    expect((await kindOf('copies')).map(({ name }) => name)).toEqual([
      '6.9-3-last.tar.zst',
      '6.9-2-held.tar.zst',
    ]);
    expect(JSON.parse(await readFile(join(host.stateFolder, 'copies.json'), 'utf8'))).toHaveLength(2);
  });

  it('keeps the last copy of a board whose own disk was lost', async () => {
    await backedUp('6.9-1', 'old', 9);
    await backedUp('6.9-2', 'last', 8);
    for (const kept of await kindOf('backups')) await kept.remove();
    await clean('copies', nothingOpen, backupEnded);
    const kept = await archivesBelow(join(host.peers.hertz?.folder ?? '', host.host));
    expect(kept).toHaveLength(1);
  });
});
