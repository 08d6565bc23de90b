import { accessSync, constants, existsSync } from 'node:fs';
import { readFile, statfs } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { programPath, type Run } from '../../../host/run.ts';
import type { Survey, Surveyed } from './asked.ts';
import { readEnrolledAs } from './enrolled-as.ts';
import { wantedGpgConfig } from './gpg-config.ts';
import { readKeys } from './host-keys.ts';
import { lookAtLogins } from './logins/logins.ts';
import { readOpenWork } from './open-work.ts';
import { findOwner, rootsOwner } from './owner.ts';
import { wantedPacmanConfig } from './pacman-config.ts';
import { fileState, folderState, linkTarget, type State } from './place-file.ts';

/** The folders in which units and agents find programs. */
const programFolders = programPath.split(':');

const isProgram = (name: string): boolean =>
  (name.startsWith('/') ? [name] : programFolders.map((folder) => join(folder, name))).some((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

const firstAbove = (path: string): string =>
  existsSync(path) || path === '/' ? path : firstAbove(dirname(path));

/** `systemd 257 (257.7-1)`; null unless it is what runs this machine, sd_booted(3). */
const systemdVersion = async (run: Run): Promise<string | null> => {
  if (!existsSync('/run/systemd/system')) return null;
  const { stdout } = await run(['systemctl', '--version'], { quiet: true });
  return /^systemd (\d+)/.exec(stdout)?.[1] ?? null;
};

const unitState = async (run: Run, name: string) => {
  const ask = async (verb: string) =>
    (await run(['systemctl', verb, name], { exitCodes: [0, 1, 3, 4], quiet: true })).stdout.trim() ||
    'not-found';
  return { name, active: await ask('is-active'), enabled: await ask('is-enabled') };
};

/** Reports a host's state, and how it differs from what it should be. Changes nothing. */
export const survey = async (run: Run, asked: Survey): Promise<Surveyed> => {
  const absent: string[] = [];
  const other: string[] = [];
  const note = (path: string, state: State) => {
    if (state === 'absent') absent.push(path);
    if (state === 'other') other.push(path);
  };
  const owners = new Map<string, Awaited<ReturnType<typeof findOwner>>>();
  for (const { owner } of [...asked.files, ...asked.folders])
    if (!owners.has(owner)) owners.set(owner, await findOwner(run, owner));
  /** A user that does not exist owns nothing. */
  const ownerOf = (name: string) => owners.get(name) ?? { uid: -1, gid: -1 };
  for (const file of asked.files) note(file.path, await fileState({ ...file, owner: ownerOf(file.owner) }));
  for (const folder of asked.folders)
    note(folder.path, await folderState({ ...folder, owner: ownerOf(folder.owner) }));
  const links: Record<string, string> = {};
  for (const { path, target } of asked.links) {
    const now = await linkTarget(path);
    if (now !== undefined) links[path] = now;
    if (now !== target) note(path, now === undefined ? 'absent' : 'other');
  }
  if (asked.pacmanConfig !== null && existsSync(asked.pacmanConfig) && isProgram('pacman-conf')) {
    const wanted = await wantedGpgConfig(run, asked.pacmanConfig);
    if (wanted) note(wanted.file.path, existsSync(wanted.file.path) ? 'other' : 'absent');
  }
  if (asked.pacmanRepository !== null && isProgram('pacman-conf')) {
    const wanted = await wantedPacmanConfig(run, asked.pacmanRepository);
    if (wanted) note(wanted.file.path, 'other');
  }
  const free = [];
  for (const folder of new Set([
    ...asked.files.map(({ path }) => dirname(path)),
    ...asked.folders.map(({ path }) => path),
  ])) {
    const { bavail, bsize } = await statfs(firstAbove(folder));
    free.push({ folder, bytes: bavail * bsize });
  }
  const systemd = await systemdVersion(run);
  // Without its user the host has no keys yet, and no work.
  const owner = asked.user === null ? rootsOwner() : await findOwner(run, asked.user);
  return {
    uid: process.getuid?.() ?? -1,
    enrolledAs: readEnrolledAs(asked.configFile),
    // If the program does not run, after an interruption or with another Node, the agent is not working either, and
    // enrolment repairs it.
    open: owner ? await readOpenWork(run, asked.openWork, owner).catch(() => null) : null,
    hostname: (await readFile('/etc/hostname', 'utf8').catch(() => hostname())).trim(),
    node: {
      arch: process.arch,
      abi: process.versions.modules,
      version: process.versions.node,
      file: process.execPath,
    },
    systemd,
    missing: asked.programs.filter((program) => !isProgram(program)),
    lacking: asked.paths.filter((path) => !existsSync(path)),
    hasUser: owner !== undefined,
    free,
    absent,
    other,
    ...(owner ? readKeys(asked.places, owner) : { key: null, sshPublicKey: null }),
    isOwed: existsSync(asked.places.owedFile),
    logins: asked.logins && isProgram('sshd') ? await lookAtLogins(run, asked.logins) : [],
    links,
    units: systemd === null ? [] : await Promise.all(asked.units.map((name) => unitState(run, name))),
  };
};
