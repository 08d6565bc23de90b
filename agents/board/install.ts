import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Need, requireRoom } from '../../host/disk-room.ts';
import { hashFile } from '../../host/hash-file.ts';
import type { Run } from '../../host/run.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import type { AgreedPlan } from '../runtime/agreed-plan.ts';
import { StepFailed } from '../runtime/errors.ts';
import { refuseUnexpectedContents } from '../runtime/package/package-contents.ts';
import { type PackageContent, readPackageFile } from '../runtime/package/package-file.ts';
import { requireProvenance } from '../runtime/provenance.ts';
import type { Step } from '../runtime/step.ts';
import { backupFile } from './backup-archive.ts';
import { onBoard } from './board-root.ts';
import { createBootLoader } from './boot-loader/create-boot-loader.ts';
import { requireOwnBackup } from './own-backup.ts';
import { lookAtInstalled } from './pacman/installed.ts';
import { createPacman, type Pacman } from './pacman/pacman.ts';
import { holdsAll, upgrade } from './pacman/upgrade.ts';
import { hasContent, refuseOtherKey, stagedFile, verifyStaged } from './staged.ts';
import { syncBoard } from './sync-board.ts';

type Request = StepRequest<'install'>;

/**
 * @throws {StepFailed} if these packages aren't the requested ones, if the installed version isn't one that they replace,
 * or if they bring more than that did.
 */
const refuseOtherPackages = async (
  { from, to, packages }: Request,
  host: BoardConfig,
  pacman: Pacman,
  { contents, planned }: { contents: readonly PackageContent[]; planned: AgreedPlan['package'] },
): Promise<void> => {
  for (const [at, content] of contents.entries()) {
    const { file, name, version } = content;
    const asked = packages[at]?.name;
    if (version !== to || name !== asked)
      throw new StepFailed('work', `${file} holds ${name} ${version}, and ${asked} ${to} was asked for.`);
    const before = await pacman.installed(name);
    const installed = before?.version;
    if (installed !== undefined && (await pacman.isOlder(version, installed)))
      throw new StepFailed(
        'work',
        `${name} ${version} is older than ${installed}, which ${host.host} has: a board goes back by a rollback alone.`,
      );
    if (installed !== from && installed !== to)
      throw new StepFailed(
        'work',
        `${host.host} has ${name} ${installed ?? 'not or half installed'} and the plan starts from ${from}: its backup would not bring that back.`,
      );
    refuseUnexpectedContents(content, before, planned);
  }
};

/** @throws {StepFailed} (host) if the backup isn't here, or the packages leave too little room. */
const refuseWithoutBackupOrRoom = async (
  { backup }: Request,
  host: BoardConfig,
  contents: readonly PackageContent[],
  held: readonly Need[],
): Promise<void> => {
  const archive = backupFile(host, backup);
  if (!(await hasContent(archive, backup.archive.sha256)))
    throw new StepFailed(
      'host',
      `${archive} is not there with the sha256 ${backup.archive.sha256}: make the backup again before the install.`,
    );
  // A rollback unpacks the backup beside what is installed, and must not fail for lack of room.
  const sizes = [...backup.files, ...backup.packages].map(({ sizeBytes }) => sizeBytes);
  const installed = contents.map(({ installedBytes }) => installedBytes);
  const sum = (bytes: readonly number[]) => bytes.reduce((all, each) => all + each, 0);
  await requireRoom('the install, with the reserve and a rollback,', [
    { folder: host.root, bytes: host.reserveBytes + sum(installed) },
    { folder: host.stateFolder, bytes: sum(sizes) },
    ...held,
  ]);
};

/** Looks at the initramfs, to see later whether the command really made one. */
const initramfsAt = async (file: string) => {
  const found = await stat(file).catch(() => undefined);
  return found ? { mtimeMs: found.mtimeMs, ...(await hashFile(file)) } : null;
};

/** Makes the initramfs. @throws {StepFailed} (host) if the command makes none. */
const makeInitramfs = async (
  run: Run,
  host: BoardConfig,
  initramfs: string,
  before: Awaited<ReturnType<typeof initramfsAt>>,
): Promise<string> => {
  // A command that outlived a killed agent is waited for: two at a time would write into one file.
  const alone = ['flock', join(host.stateFolder, 'initramfs.lock'), ...host.boot.initramfsCommand];
  await run(alone, { timeoutMs: 30 * 60_000 });
  await syncBoard(run, host);
  const made = await initramfsAt(initramfs);
  const isOld = made?.sha256 === before?.sha256 && made?.mtimeMs === before?.mtimeMs;
  if (!made || made.sizeBytes === 0 || isOld)
    throw new StepFailed(
      'host',
      `${host.boot.initramfsCommand.join(' ')} reported success, but ${initramfs} ${made ? `is ${made.sizeBytes === 0 ? 'empty' : 'the one from before'}` : 'is not there'}: run it by hand.`,
    );
  return made.sha256;
};

/**
 * Holds the running kernel, then installs the staged packages and makes their initramfs. Wherever pacman is cut, the
 * held kernel boots.
 */
export const install: Step<'install', BoardConfig> = async (request, context) => {
  const { effect, host, run, note, trust, iteration } = context;
  const provided = { packages: request.packages, version: request.to, board: host.host };
  const { attestation, plan } = requireProvenance(request.provenance, trust, iteration, provided);
  requireOwnBackup(context, request.backup);
  refuseOtherKey(host, request.fingerprint);
  const pacman = createPacman(host, run);
  const read = async () => {
    for (const wanted of request.packages) await verifyStaged(run, host, wanted);
    return Promise.all(request.packages.map((wanted) => readPackageFile(run, stagedFile(host, wanted))));
  };

  const loader = createBootLoader({ host, run, note });
  await effect('hold', {
    // A refusal here comes before anything is begun: the board is unchanged.
    before: async () => {
      const contents = await read();
      await refuseOtherPackages(request, host, pacman, { contents, planned: plan.package });
      await refuseWithoutBackupOrRoom(request, host, contents, await loader.requireReady());
      return null;
    },
    // The held label is written last: once it boots by default, its files are there.
    probe: async () => {
      if (!(await loader.isHeld())) return { happened: 'no' };
      await loader.flushed(); // the cut may have come before the flush
      return { happened: 'yes', result: null };
    },
    act: async () => {
      await loader.cancelTry(); // a trial that was left over would boot a half-installed kernel
      await loader.hold();
      return null;
    },
  });

  let interrupted = false;
  await effect('packages', {
    // A pacman that outlived the agent may still be at work. A half install does not count: act clears it away.
    probe: async () => {
      interrupted = true;
      await pacman.quiet();
      if (!(await holdsAll(pacman, await read()))) return { happened: 'no' };
      await syncBoard(run, host);
      return { happened: 'yes', result: null };
    },
    act: async () => {
      const contents = await read();
      await upgrade(note, pacman, contents, { overwrite: interrupted });
      await syncBoard(run, host);
      return null;
    },
  });

  await loader.requireHeld(); // a pacman hook may have rewritten extlinux.conf
  const initramfs = onBoard(host.root, host.boot.initramfs);
  await effect('initramfs', {
    before: () => initramfsAt(initramfs),
    // A half-written initramfs can't be told from a complete one, and making it again does no harm.
    probe: () => ({ happened: 'no' }),
    act: (before) => makeInitramfs(run, host, initramfs, before),
  });

  await loader.requireHeld(); // the initramfs command, or a person, may have changed it in the meantime

  const names = request.packages.map(({ name }) => name);
  return { ...(await lookAtInstalled({ host, run }, names, request.to)), attestation };
};
