import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createAttest } from '../agents/runtime/attest.ts';
import { createEffect, type WatchEffects } from '../agents/runtime/effects.ts';
import { asStepFailed } from '../agents/runtime/errors.ts';
import { Journal } from '../agents/runtime/journal/journal.ts';
import { createOwnEvidence } from '../agents/runtime/own-evidence.ts';
import type { Step } from '../agents/runtime/step.ts';
import { exampleFleet } from '../coordinator/testing/example-plan.ts';
import { testKey } from '../coordinator/testing/test-key.ts';
import { trustIn } from '../eventlog/signing/trust.ts';
import { createRun, type Run } from '../host/run.ts';
import type { Fleet } from '../schemas/fleet.ts';
import type { Role, StepName } from '../schemas/step-names.ts';
import { type StepEvidence, type StepRequest, steps } from '../schemas/steps.ts';
import { rememberMakepkg } from './remembered-makepkg.ts';

export interface StepRun<Name extends StepName> {
  evidence: StepEvidence<Name>;
  /** The step's output, as it would go to its stream. */
  lines: string[];
}

/** The host of the example fleet as which a step of each role is run. */
const hostOf: Record<Role, string> = { builder: 'boltzmann', publisher: 'hertz', board: 'fresnel' };

/**
 * Runs one step as the agent would, over a real journal in `folder`, without an event log. A second run with the same
 * folder and attempt goes on where the first ended, as after a crash. The request and the evidence are checked against
 * their schemas. makepkg's answers about a PKGBUILD are cached.
 * @param fleet the fleet that the host trusts: the example fleet, unless another process has made its keys.
 */
export const runStep = async <Name extends StepName, Host>(
  name: Name,
  step: Step<Name, Host>,
  request: StepRequest<Name>,
  host: Host,
  {
    folder,
    iteration = 'iter5',
    attempt = 1,
    signal = new AbortController().signal,
    fleet = exampleFleet,
    askedAt,
    through = (run) => run,
    watch,
  }: {
    folder: string;
    iteration?: string;
    attempt?: number;
    signal?: AbortSignal;
    fleet?: Fleet;
    /** When it was asked for, by the clock of the log's server. */
    askedAt?: number;
    /** Wraps the runner, to observe what the step runs. */
    through?: (run: Run) => Run;
    watch?: WatchEffects;
  },
): Promise<StepRun<Name>> => {
  const key = `${iteration}.${attempt}`;
  const workFolder = join(folder, 'work', `${name}.${key}`);
  mkdirSync(workFolder, { recursive: true });
  const journal = new Journal(join(folder, 'journal.db'));
  const lines: string[] = [];
  const note = (line: string) => void lines.push(line);
  try {
    const evidence = await step(steps[name].request.parse(request) as StepRequest<Name>, {
      iteration,
      step: name,
      attempt,
      askedAt,
      key,
      effect: createEffect(journal, { iteration, step: name, attempt }, signal, watch),
      host,
      run: through(rememberMakepkg(createRun(note, signal))),
      attest: createAttest(testKey(hostOf[steps[name].role])),
      trust: trustIn(fleet),
      note,
      workFolder,
      ownEvidence: createOwnEvidence(journal, iteration),
      bootsAfter: (bootId) => journal.boots.after(bootId),
      signal,
    });
    return { evidence: steps[name].evidence.parse(evidence) as StepEvidence<Name>, lines };
  } catch (error) {
    throw asStepFailed(error);
  } finally {
    journal.close();
  }
};
