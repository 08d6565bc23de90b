import type { BuilderConfig } from '../../schemas/config.ts';
import type { RoleParts } from '../runtime/agent.ts';
import { build } from './build.ts';
import { builderKeeps } from './keeps.ts';
import { land } from './land.ts';
import { confinementMissing } from './makepkg/confinement.ts';
import { preflight } from './preflight.ts';
import { record } from './record.ts';

/** A builder's steps, and what its host may lack. */
export const builder: RoleParts<BuilderConfig> = {
  steps: { preflight, land, build, record },
  keeps: builderKeeps,
  missing: confinementMissing,
};
