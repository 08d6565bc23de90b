import type { Need } from '../../../host/disk-room.ts';
import type { Run } from '../../../host/run.ts';
import type { BoardConfig } from '../../../schemas/config.ts';

/**
 * What decides which kernel boots. The kernel from before is *held*, as copies that nothing else writes to, and boots by
 * default, until the new one is confirmed: whenever the power is cut, something whole boots that is known to.
 */
export interface BootLoader {
  /** Whether the new kernel gets one boot on trial. Otherwise each boot is of what is installed. */
  readonly triesOnce: boolean;
  /** The file on the board that names what boots: a rollback puts it back last. */
  readonly configFile: string | undefined;
  /**
   * Looks whether the installed kernel can be held and another one tried. It changes nothing.
   * @returns the room that this takes.
   * @throws {StepFailed} (host) that says what to put right.
   */
  requireReady(): Promise<readonly Need[]>;
  /** @throws {StepFailed} (host) if a kernel is held: a backup made now would bring back a label without its files. */
  requireSettled(): Promise<void>;
  /** Holds the installed kernel, which has to be the one that runs. Where one is held already, it stays. */
  hold(): Promise<void>;
  isHeld(): Promise<boolean>;
  /**
   * Looks whether a kernel is still there to go back to, and can be told from the one that is installed.
   * @throws {StepFailed} (host) if not.
   */
  requireHeld(): Promise<void>;
  /** Lets the next boot, and only that one, be of what is installed. @param bootId of the boot that runs now. */
  tryOnce(bootId: string): Promise<void>;
  /** Whether the next boot is the trial. @param bootId of the boot that runs now. */
  isTrying(bootId: string): Promise<boolean>;
  /** The next boot is no trial. */
  cancelTry(): Promise<void>;
  /** Told of each boot, as early in it as can be: ends a trial where the boot loader itself can't. */
  booted(bootId: string): Promise<void>;
  /** What is installed boots from now on, and nothing is held any more. */
  settle(): Promise<void>;
  isSettled(): Promise<boolean>;
  /** Brings what was written to where the boot loader sees it, as far as a sync does not. */
  flushed(): Promise<void>;
}

export interface BootLoaderParts {
  host: BoardConfig;
  run: Run;
  note: (line: string) => void;
}
