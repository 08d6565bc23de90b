import type { Need } from '../../../host/disk-room.ts';
import type { Run } from '../../../host/run.ts';
import type { BoardConfig } from '../../../schemas/config.ts';

/**
 * The boot loader, which decides which kernel boots. The previous kernel is *held*, as copies that nothing else writes
 * to, and boots by default until the new one is confirmed. So after a power cut at any time, a complete kernel that is
 * known to boot boots.
 */
export interface BootLoader {
  /** Whether the new kernel gets one boot on trial. Otherwise each boot starts the installed kernel. */
  readonly triesOnce: boolean;
  /** The file on the board that names what boots. A rollback puts it back last. */
  readonly configFile: string | undefined;
  /**
   * Checks whether the installed kernel can be held and another one tried. Changes nothing.
   * @returns the disk room that holding takes.
   * @throws {StepFailed} (host) whose message says what to correct.
   */
  requireReady(): Promise<readonly Need[]>;
  /** @throws {StepFailed} (host) if a kernel is held: a backup made now would bring back a label without its files. */
  requireSettled(): Promise<void>;
  /** Holds the installed kernel, which has to be the one that runs. If one is held already, it stays. */
  hold(): Promise<void>;
  isHeld(): Promise<boolean>;
  /**
   * Checks whether there is still a kernel to go back to, and that it differs from the installed one.
   * @throws {StepFailed} (host) if not.
   */
  requireHeld(): Promise<void>;
  /** Lets the next boot, and only that one, start the installed kernel. @param bootId of the boot that runs now. */
  tryOnce(bootId: string): Promise<void>;
  /** Whether the next boot is the trial. @param bootId of the boot that runs now. */
  isTrying(bootId: string): Promise<boolean>;
  /** Makes the next boot an ordinary one instead of a trial. */
  cancelTry(): Promise<void>;
  /** Called in each boot, as early as possible: ends a trial if the boot loader itself can't. */
  booted(bootId: string): Promise<void>;
  /** Makes the installed kernel boot from now on, and holds nothing any more. */
  settle(): Promise<void>;
  isSettled(): Promise<boolean>;
  /** Makes what was written visible to the boot loader, if a sync alone does not. */
  flushed(): Promise<void>;
}

export interface BootLoaderParts {
  host: BoardConfig;
  run: Run;
  note: (line: string) => void;
}
