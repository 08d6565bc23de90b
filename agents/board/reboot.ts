import type { BoardConfig } from '../../schemas/config.ts';
import type { Step } from '../runtime/step.ts';
import { rebootBoard } from './boot.ts';
import { installedVersion } from './pacman/installed.ts';

/** Reboots, and says which kernel came back. That it fell back is a fact for the coordinator, not a failure here. */
export const reboot: Step<'reboot', BoardConfig> = async (request, context) =>
  rebootBoard(context, {
    release: request.release,
    installedVersion: await installedVersion(context, request.names),
  });
