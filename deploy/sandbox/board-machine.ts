import { existsSync } from 'node:fs';
import type { Kept } from './kept-process.ts';
import { nodeArgv } from './node-argv.ts';
import type { SandboxPlaces } from './places.ts';
import { type BootResult, boot } from './power.ts';
import { createLoggedRun } from './run-program.ts';

/** What the fleet's board is: a folder of this machine, or a virtual machine. */
export const boardKinds = ['folder', 'virtual'] as const;
export type BoardKind = (typeof boardKinds)[number];

/** How long a fleet may take to be there, its board's boot included. Emulation is slow, and more so on a busy machine. */
export const readyWithinMs: Readonly<Record<BoardKind, number>> = { folder: 60_000, virtual: 300_000 };

/** How long a fleet may take to end in order: a virtual board shuts down meanwhile, which it is given 30 and 120 s for. */
export const endsWithinMs: Readonly<Record<BoardKind, number>> = { folder: 60_000, virtual: 210_000 };

/** The machine behind fresnel, as the supervisor that has its power in its hands sees it. */
export interface BoardMachine {
  /** What runs while it has power, by name. */
  readonly processes: Readonly<Record<string, Kept>>;
  /** Boots it, as far as that is not one of its processes' own doing. */
  boot(): Promise<BootResult | { up: true }>;
  /** Whether it is to be rebooted from outside: what runs is ended, and it boots again. */
  wantsReboot(): boolean;
}

/** A board that is a folder: its agent and its deadline are processes of this machine. */
export const folderBoard = (places: SandboxPlaces): BoardMachine => {
  const run = createLoggedRun(places.log('provision'));
  const daemon = (file: string): Kept => ({
    argv: () => nodeArgv(file, '--config', places.config('fresnel')),
  });
  return {
    processes: {
      fresnel: daemon('agents/main.ts'),
      'fresnel-deadline': daemon('agents/board/deadline-main.ts'),
    },
    boot: () => boot(run, places),
    wantsReboot: () => existsSync(places.board.rebootFile),
  };
};
