import type { Kept } from '../../processes/kept-process.ts';
import type { FleetNow } from '../configs.ts';

/** The machine behind fresnel, as the supervisor that has its power in its hands sees it. */
export interface BoardMachine {
  /** What runs while it has power, by name. */
  readonly processes: Readonly<Record<string, Kept>>;
  /**
   * Writes the configs of its agent and of its pacman for where the servers listen now. A board that has its own from its
   * enrolment has no such method.
   */
  writeConfigs?(now: FleetNow): Promise<void>;
  /** Boots it, as far as that is not one of its processes' own doing. */
  boot(): Promise<{ up: true } | { up: false; why: string }>;
  /** Whether it is to be rebooted from outside: what runs is ended, and it boots again. */
  wantsReboot(): boolean;
}
