import type { Kept } from '../../processes/kept-process.ts';
import type { FleetNow } from '../configs.ts';

/** The machine behind fresnel, as seen by the supervisor, which controls its power. */
export interface BoardMachine {
  /** The processes that run while it has power, by name. */
  readonly processes: Readonly<Record<string, Kept>>;
  /**
   * Writes the configs of its agent and its pacman with the servers' present ports. A board that got its configs by
   * enrolment does not have this method.
   */
  writeConfigs?(now: FleetNow): Promise<void>;
  /** Boots it, as far as its processes do not do that themselves. */
  boot(): Promise<{ up: true } | { up: false; why: string }>;
  /** Whether it asks for a reboot from outside: its processes are ended, and it boots again. */
  wantsReboot(): boolean;
}
