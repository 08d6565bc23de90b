import { createRun } from '../../host/run.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { RoleParts } from '../runtime/agent.ts';
import { backup } from './backup.ts';
import { confirm } from './confirm.ts';
import { deadlinePassed } from './deadline/deadline-passed.ts';
import { install } from './install.ts';
import { boardKeeps } from './keeps.ts';
import { createPacman } from './pacman/pacman.ts';
import { presweep } from './presweep.ts';
import { reboot } from './reboot.ts';
import { rollback } from './rollback.ts';
import { stage } from './stage.ts';
import { sweep } from './sweep.ts';

/** A board's steps, and what it reports about itself. */
export const board: RoleParts<BoardConfig> = {
  steps: { presweep, backup, stage, install, reboot, sweep, confirm, rollback },
  installed: async (config) => {
    const [name] = config.packages;
    if (name === undefined) return null;
    const found = await createPacman(
      config,
      createRun(() => undefined),
    ).installed(name);
    return found ? `${name} ${found.version}` : null;
  },
  report: deadlinePassed,
  keeps: boardKeeps,
};
