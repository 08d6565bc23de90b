import { createHash } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { chmod, lchown, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Run } from '../../../../host/run.ts';
import { syncPath } from '../../../../host/sync-path.ts';
import { type Owner, rootsOwner } from '../owner.ts';
import { fileState, linkTarget, placeFile, placeFolder, placeLink } from '../place-file.ts';
import type { Store } from './asked-logins.ts';

/** Whether something is mounted in a folder. proc(5), mountinfo: the fifth field, with `\040` for a space. */
export const isMounted = (folder: string): boolean =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4]?.replaceAll('\\040', ' ') === folder);

const unitFile = ({ unit }: Store) => {
  const bytes = Buffer.from(unit.text);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { file: { path: unit.path, mode: 0o644, owner: rootsOwner(), sha256 }, bytes };
};

/** The link by which systemd mounts the store at each boot, as `systemctl enable` makes it. */
const wantedBy = ({ unit }: Store) => ({
  path: join(dirname(unit.path), 'multi-user.target.wants', unit.name),
  target: unit.path,
});

const isOwners = (folder: string, owner: Owner | undefined): boolean => {
  const seen = lstatSync(folder, { throwIfNoEntry: false });
  return seen?.isDirectory() === true && seen.uid === owner?.uid && (seen.mode & 0o7777) === 0o700;
};

/** Compares a login's store with how it should be. @param owner the login's user; undefined if it does not exist. */
export const lookAtStore = async (store: Store, owner: Owner | undefined): Promise<'same' | 'other'> => {
  if (!isOwners(store.folder, owner)) return 'other';
  if (store.image === null) return 'same';
  if (!isMounted(store.folder) || (await fileState(unitFile(store).file)) !== 'same') return 'other';
  const { path, target } = wantedBy(store);
  return (await linkTarget(path)) === target ? 'same' : 'other';
};

const makeImage = async (run: Run, image: string, bytes: number): Promise<void> => {
  const part = `${image}.part`;
  await rm(part, { force: true });
  // Not sparse: a disk that is full below a file system damages it.
  await run(['fallocate', `--length=${bytes}`, '--', part]).catch((cause: unknown) => {
    throw new Error(
      `there is no room for ${image} (${cause instanceof Error ? cause.message : String(cause)}): name fewer megabytes, or make room`,
      { cause },
    );
  });
  await chmod(part, 0o600);
  await run(['mkfs.ext4', '-q', '-F', '-m', '0', '--', part]);
  await syncPath(part);
  await rename(part, image);
  await syncPath(dirname(image));
};

const mountImage = async (run: Run, { folder, image }: Store & { image: string }): Promise<void> => {
  const there = await readdir(folder);
  if (there.length > 0)
    throw new Error(
      `${folder} holds ${there.slice(0, 3).join(', ')}, which the file system for it would hide: move that away, enrol again, and move it back`,
    );
  await run(['mount', '-o', 'loop,nosuid,nodev,noexec', '--', image, folder]).catch((cause: unknown) => {
    throw new Error(
      `${image} can't be mounted in ${folder} (${cause instanceof Error ? cause.message : String(cause)}): let this machine use loop devices, or write "megabytes: null" for this login, so that nothing limits what it stores`,
      { cause },
    );
  });
};

/** Makes a login's store: a folder of its own, on a file system of its own unless nothing is to limit it. */
export const makeStore = async (run: Run, store: Store, owner: Owner): Promise<boolean> => {
  if ((await lookAtStore(store, owner)) === 'same') return false;
  const { folder, image, bytes } = store;
  if (image === null) return placeFolder({ path: folder, mode: 0o700, owner });
  const root = rootsOwner();
  await placeFolder({ path: dirname(image), mode: 0o700, owner: root });
  if (!lstatSync(image, { throwIfNoEntry: false })) await makeImage(run, image, bytes);
  if (!isMounted(folder)) {
    await placeFolder({ path: folder, mode: 0o700, owner: root });
    await mountImage(run, { ...store, image });
    // Its owner could not list it, and e2fsck makes it again.
    await rmdir(join(folder, 'lost+found')).catch(() => undefined);
  }
  await lchown(folder, owner.uid, owner.gid);
  await chmod(folder, 0o700);
  const { file, bytes: text } = unitFile(store);
  await placeFile(file, text);
  const { path, target } = wantedBy(store);
  await placeFolder({ path: dirname(path), mode: 0o755, owner: root });
  await placeLink(path, target);
  return true;
};
