import type { StepName } from '../../../schemas/step-names.ts';
import type { Iteration } from '../state.ts';
import { backupHeld } from './backup.ts';
import { packagesBuilt } from './build.ts';
import type { CheckName, CheckRule } from './check-rule.ts';
import { confirmed } from './confirm.ts';
import { packageInstalled } from './install.ts';
import { keyUsable } from './keycheck.ts';
import { manifestIncludes, packageBumped, patchesLanded, patchLanded } from './land.ts';
import { patchApplies, releasePredicted, symbolsFound } from './preflight.ts';
import { mirrored, packagesSigned } from './publish.ts';
import { kernelRunning } from './reboot.ts';
import { recorded } from './record.ts';
import { approved } from './review.ts';
import { staged } from './stage.ts';
import { noRegression, sweepAsExpected } from './sweep.ts';

/** Whether the new kernel's sweep is as the plan expects; waivers do not count here. */
export const isSweepAsExpected = (iteration: Iteration): boolean => {
  const judged = sweepAsExpected.judge({ check: 'sweep-as-expected' }, iteration);
  return judged?.faults.every((fault) => !fault) ?? false;
};

/** How each check is answered. */
export const checks: { readonly [Name in CheckName]: CheckRule<Name> } = {
  'patch-applies': patchApplies,
  'symbols-found': symbolsFound,
  'release-predicted': releasePredicted,
  approved,
  'patches-landed': patchesLanded,
  'patch-landed': patchLanded,
  'manifest-includes': manifestIncludes,
  'package-bumped': packageBumped,
  'key-usable': keyUsable,
  'packages-built': packagesBuilt,
  'packages-signed': packagesSigned,
  mirrored,
  'backup-held': backupHeld,
  staged,
  'package-installed': packageInstalled,
  'kernel-running': kernelRunning,
  'sweep-as-expected': sweepAsExpected,
  'no-regression': noRegression,
  confirmed,
  recorded: recorded(isSweepAsExpected),
};

/** The check that each step has to pass even if no clause asks for it. */
export const ownChecks = {
  preflight: 'release-predicted',
  keycheck: 'key-usable',
  build: 'packages-built',
  publish: 'packages-signed',
  backup: 'backup-held',
  stage: 'staged',
  install: 'package-installed',
  reboot: 'kernel-running',
  sweep: 'sweep-as-expected',
  confirm: 'confirmed',
} as const satisfies { readonly [Name in StepName]?: CheckName };
