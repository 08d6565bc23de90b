import { archives } from './archives.ts';
import { configs } from './configs.ts';
import { foldedEvents } from './folded-events.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { oversized } from './oversized.ts';
import { patches } from './patches.ts';
import { pkgbuilds } from './pkgbuilds.ts';
import { plans } from './plans.ts';
import { rawEvents } from './raw-events.ts';
import { requests } from './requests.ts';
import { subjects } from './subjects.ts';
import { terminal } from './terminal.ts';

/** All targets of hostile input. */
export const targets: readonly FuzzTarget[] = [
  plans,
  configs,
  rawEvents,
  foldedEvents,
  subjects,
  requests,
  pkgbuilds,
  patches,
  terminal,
  oversized,
  archives,
];

/** @throws {TypeError} with the names of all targets. */
export const targetNamed = (name: string): FuzzTarget => {
  const found = targets.find((target) => target.name === name);
  if (!found)
    throw new TypeError(
      `there is no target "${name}"; there are ${targets.map((target) => target.name).join(', ')}`,
    );
  return found;
};
