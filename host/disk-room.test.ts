import { statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { orNoRoom, requireRoom } from './disk-room.ts';
import { MachineFault, ProgramFailed } from './errors.ts';
import { createRun } from './run.ts';

const run = createRun(() => undefined);

test('needs on one disk add up, also where the folder is not there yet', async () => {
  const { bavail, bsize } = await statfs(tmpdir());
  const nearlyAll = Math.floor(bavail * bsize * 0.7);
  const folder = join(tmpdir(), 'not/there/yet');
  await requireRoom('a build', [{ folder, bytes: nearlyAll }]);
  const refused = requireRoom('a build', [
    { folder, bytes: nearlyAll },
    { folder: tmpdir(), bytes: nearlyAll },
  ]);
  await expect(refused).rejects.toMatchObject({
    code: 'no-room',
    message: expect.stringMatching(
      / MB are free in .*not\/there\/yet and a build needs .* MB: make room there\.$/,
    ),
  });
});

test('a full disk is reported at once, whether this process or a program met it', async () => {
  const says = { code: 'no-room', message: 'There is no room left on the disk of /x: make room there.' };
  await expect(orNoRoom('/x', () => writeFile('/dev/full', 'x'))).rejects.toMatchObject(says);
  await expect(
    orNoRoom('/x', () => run(['dd', 'if=/dev/zero', 'of=/dev/full', 'bs=1', 'count=1'])),
  ).rejects.toMatchObject(says);
});

test("a remote's full disk, and any other trouble, are not reported as missing room on this host", async () => {
  const facts = {
    exitCode: 1,
    stdout: '',
    stderr: 'remote: fatal: No space left on device\nerror: failed to push',
  };
  for (const error of [
    new ProgramFailed('git', 'ended with exit code 1', facts),
    new MachineFault('other-bytes', 'bad'),
  ])
    await expect(orNoRoom('/x', () => Promise.reject(error))).rejects.toBe(error);
});
