import { existsSync } from 'node:fs';
import { readdir, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { readConfigFile } from '../../../eventlog/files/config-file.ts';
import type { Run } from '../../../host/run.ts';
import type { Retire, Retired } from './asked.ts';
import { type EnrolledAs, readEnrolledAs } from './enrolled-as.ts';
import { loginUsers } from './logins/login-user.ts';
import { reloadSshd } from './logins/sshd-drop-in.ts';
import { type OpenWork, readOpenWork } from './open-work.ts';
import { findOwner, type Owner, rootsOwner } from './owner.ts';
import { wantedPacmanConfig } from './pacman-config.ts';
import { placeFile } from './place-file.ts';
import { hasEntry, removeTree } from './remove-tree.ts';
import { deciderOf } from './roots-folder.ts';

const whyNot = async (run: Run, argv: readonly string[], owner: Owner): Promise<string | null> => {
  let open: OpenWork | null;
  try {
    open = await readOpenWork(run, argv, owner);
  } catch (error) {
    // For example after a retirement that was interrupted while it removed the programs.
    return `its own program can't say what is open there (${error instanceof Error ? error.message : String(error)})`;
  }
  if (open === null) return null;
  const { deadline, attempts, unsent } = open;
  if (deadline !== null)
    return `${deadline}: wait until the iteration has confirmed or rolled back; without its agent nobody would put the old kernel back`;
  if (attempts.length > 0)
    return `it works on ${attempts.join(', ')}: wait until that is done, or abort the iteration (ka abort)`;
  if (unsent > 0)
    return `${unsent} of its events have not reached the log: wait until nats-server can be reached from it`;
  return null;
};

/** The part of a board's config that is read here, whatever version has written it. */
const OfBoard = z.object({ pacman: z.object({ configFile: z.string() }).optional() });

/** The board's pacman configuration without what enrolment has written; undefined if there is nothing to take away. */
const withoutRepository = async (run: Run, file: string) => {
  const { pacman } = existsSync(file) ? readConfigFile(file, OfBoard) : {};
  return pacman && wantedPacmanConfig(run, { configFile: pacman.configFile, section: null });
};

/** To whom the host's keys and its journal belong. */
const keysOwner = (enrolled: EnrolledAs | null): Owner => {
  const decider = enrolled ? deciderOf(dirname(enrolled.keyFile)) : undefined;
  return decider?.by === 'user' ? decider.owner : rootsOwner();
};

/** userdel's exit code for a user that still has processes. userdel(8) */
const userIsUsed = 8;

/** What ends when its user logs out takes a while. */
const endsWithinMs = 5_000;

const removeUser = async (run: Run, user: string): Promise<void> => {
  for (let waitedMs = 0; ; waitedMs += 250) {
    const { exitCode, stderr } = await run(['userdel', '--', user], { exitCodes: [0, userIsUsed] });
    if (exitCode === 0) return;
    if (waitedMs >= endsWithinMs)
      throw new Error(
        `all but the user ${user} is removed: ${stderr.trim()}; end that process, then retire it again`,
      );
    await sleep(250);
  }
};

/** Ends what somebody who has logged in does, and removes the user as whom they did. */
const removeLoginUser = async (run: Run, user: string): Promise<void> => {
  await run(['loginctl', 'terminate-user', '--', user], { exitCodes: [0, 1], quiet: true });
  await removeUser(run, user);
};

/** Removes the agent from this host. A run after an interruption does only what is left. */
export const retire = async (
  run: Run,
  asked: Retire,
  say: (line: string) => void,
): Promise<z.infer<typeof Retired>> => {
  const did: string[] = [];
  const step = async (what: string, act: () => Promise<unknown>) => {
    did.push(what);
    say(what);
    if (!asked.dryRun) await act();
  };
  const enrolled = readEnrolledAs(asked.configFile);
  if (enrolled !== null && enrolled.host !== asked.host)
    return {
      refused: `the machine that answers there is ${enrolled.host} of the fleet ${enrolled.fleet}, and not ${asked.host}: see where --ssh leads`,
      isForceable: false,
      did,
    };
  const refused = asked.force ? null : await whyNot(run, asked.openWork, keysOwner(enrolled));
  if (refused !== null) return { refused, isForceable: true, did };
  for (const unit of asked.units) {
    const { stdout } = await run(['systemctl', 'show', '--property=LoadState', '--value', unit], {
      quiet: true,
    });
    if (stdout.trim() !== 'loaded') continue;
    await step(`stop and disable ${unit}`, () =>
      run(['systemctl', 'disable', '--now', '--quiet', '--', unit]),
    );
  }
  const repository = await withoutRepository(run, asked.configFile);
  if (repository)
    await step(`take the fleet's repository out of ${repository.file.path}`, () =>
      placeFile(repository.file, repository.bytes),
    );
  for (const path of asked.remove)
    if (hasEntry(path)) await step(`remove ${path}`, async () => removeTree(path));
  for (const folder of asked.removeIfEmpty) {
    if (!existsSync(folder)) continue;
    const left = (await readdir(folder)).filter((name) => !asked.remove.includes(join(folder, name)));
    if (left.length === 0) await step(`remove ${folder}`, () => rmdir(folder));
    else say(`${folder} stays, with ${left.toSorted().join(', ')}: enrolment did not put that there`);
  }
  if (did.length > 0 && !asked.dryRun) await run(['systemctl', 'daemon-reload']);
  if (did.length > 0 && !asked.dryRun) await reloadSshd(run);
  const { user } = asked;
  if (user === null) return { refused: null, isForceable: false, did };
  for (const login of await loginUsers(run))
    await step(`remove the user ${login}`, () => removeLoginUser(run, login));
  if (await findOwner(run, user)) await step(`remove the user ${user}`, () => removeUser(run, user));
  return { refused: null, isForceable: false, did };
};
