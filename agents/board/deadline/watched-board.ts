import { rm } from 'node:fs/promises';
import type { z } from 'zod';
import type { Run } from '../../../host/run.ts';
import type { Boot } from '../../../schemas/boot.ts';
import type { BoardConfig } from '../../../schemas/config.ts';
import type { Effect } from '../../runtime/step.ts';
import { onBoard } from '../board-root.ts';
import { imageBanner, readBoot, runsInstalled } from '../boot.ts';
import { createBootLoader } from '../boot-loader/create-boot-loader.ts';
import { networkFault } from '../network-fault.ts';
import { createPacman } from '../pacman/pacman.ts';
import { putBack } from '../put-back.ts';
import { hasContent } from '../staged.ts';
import {
  type Deadline,
  DeadlineReport,
  deadlineWorkFolder,
  fire,
  readArmed,
  readFired,
  reportFile,
  seenFile,
} from './deadline.ts';
import { createKeptFile, type KeptFile } from './kept-file.ts';
import { SeenBoot } from './seen-boot.ts';

/** The board as its deadline sees it, and what the deadline does to it. */
export interface WatchedBoard {
  /** The deadline that is armed. @throws {Error} if its file is damaged. */
  armed(): Promise<Deadline | undefined>;
  /** The deadline that went off last. */
  fired(): Promise<Deadline | undefined>;
  /** Marks the armed deadline as gone off. @returns false if it was called off in the meantime. */
  fire(): Promise<boolean>;
  readonly seen: KeptFile<z.infer<typeof SeenBoot>>;
  readonly report: KeptFile<DeadlineReport>;
  boot(): Promise<Boot>;
  /** Whether a boot runs the installed kernel; false if nobody can tell. */
  runsInstalled(boot: Boot): Promise<boolean>;
  /** Whether a boot runs another kernel; false if nobody can tell. */
  runsOther(boot: Boot): Promise<boolean>;
  /** What is wrong with this boot's network; undefined if nothing is. */
  networkFault(): Promise<string | undefined>;
  /** Waits until no process uses pacman. */
  quiet(): Promise<void>;
  /** Tells the boot loader about this boot. */
  tellLoader(): Promise<void>;
  /** Whether a reboot would boot the held kernel, under which a put-back may succeed that fails under this one. */
  bootsHeld(): Promise<boolean>;
  /** Puts a deadline's backup back. @returns whether anything had to be changed for it. @throws if that can't be done. */
  putBack(deadline: Deadline): Promise<boolean>;
  /** Removes the unpacked backup. */
  clear(): Promise<void>;
  /** Asks for a reboot. @throws if that is refused. */
  askForReboot(): Promise<void>;
}

/**
 * Effects without a journal: each part of a put-back checks for itself what is left to do, and returns whether it
 * changed anything.
 */
const effect: Effect = async (_name, { before, act }) =>
  act((before === undefined ? undefined : await before()) as never);

export const createWatchedBoard = ({
  host,
  run,
  note,
}: {
  host: BoardConfig;
  run: Run;
  note: (line: string) => void;
}): WatchedBoard => {
  const workFolder = deadlineWorkFolder(host);
  const loader = createBootLoader({ host, run, note });
  return {
    armed: () => readArmed(host),
    fired: () => readFired(host),
    fire: () => fire(host),
    seen: createKeptFile(seenFile(host), SeenBoot, note),
    report: createKeptFile(reportFile(host), DeadlineReport, note),
    boot: () => readBoot(host),
    runsInstalled: (boot) => runsInstalled(host, boot),
    runsOther: ({ procVersion }) =>
      imageBanner(onBoard(host.root, host.boot.image)).then(
        (banner) => !procVersion.startsWith(banner),
        () => false,
      ),
    networkFault: () => networkFault(host.network),
    quiet: () => createPacman(host, run).quiet(),
    tellLoader: async () => loader.booted((await readBoot(host)).bootId),
    bootsHeld: () => (loader.triesOnce ? loader.isHeld().catch(() => false) : Promise.resolve(false)),
    async putBack({ archive, backup }) {
      if (!(await hasContent(archive, backup.archive.sha256)))
        throw new Error(`${archive} no longer has the sha256 ${backup.archive.sha256}`);
      const { changed } = await putBack({ effect, host, run, note, workFolder }, backup);
      return changed;
    },
    clear: () => rm(workFolder, { recursive: true, force: true }),
    async askForReboot() {
      await run(host.boot.rebootCommand, { outlive: true });
    },
  };
};
