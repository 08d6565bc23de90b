import { z } from 'zod';
import type { Trust } from '../../eventlog/signing/trust.ts';
import type { EffectName } from '../../schemas/effects.ts';
import { parseEvent } from '../../schemas/events.ts';
import { unmetNeeds } from '../../schemas/needs.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { steps } from '../../schemas/steps.ts';
import { createEffect, type WatchEffects } from './effects.ts';
import { StepFailed } from './errors.ts';
import type { Journal } from './journal/journal.ts';
import type { NotedRequest } from './journal/requests.ts';
import { createOwnEvidence } from './own-evidence.ts';
import type { Clock, Workplace } from './ports.ts';
import { reasonOf } from './reason.ts';
import type { Step, StepContext } from './step.ts';

/** The steps of one role, by name. */
// biome-ignore lint/suspicious/noExplicitAny: each step has its own type of request; the schema checks it at the edge
export type StepTable<Host> = { readonly [Name in StepName]?: Step<any, Host> };

export interface StepOptions<Host> {
  journal: Journal;
  clock: Clock;
  workplace: Workplace;
  steps: StepTable<Host>;
  host: Host;
  /** Signs what the steps attest. */
  attest: StepContext<Host>['attest'];
  trust: Trust;
  /** A place where a test may end this process. */
  failpoint?: (name: string) => void;
}

/** @throws {StepFailed} if this version can't read a request that an earlier one has noted. */
export const readRequest = ({ blobs }: Pick<Journal, 'blobs'>, bytes: Uint8Array) => {
  try {
    const event = parseEvent(bytes, blobs.get);
    if (event.kind === 'unknown' && event.lacks)
      throw new Error(`the journal lacks ${event.lacks.map(({ sha256 }) => `blob ${sha256}`).join(', ')}`);
    if (event.kind === 'step' && event.fact === 'Requested') return event;
    throw new Error(`it is ${event.type}`);
  } catch (cause) {
    throw new StepFailed('host', `the journal's request can't be read: ${reasonOf(cause)}`, { cause });
  }
};

/** Checks the evidence of a step against its schema. @throws {StepFailed} if it does not fit. */
const checkEvidence = (step: StepName, seen: unknown) => {
  const evidence = steps[step].evidence.safeParse(seen);
  if (!evidence.success)
    throw new StepFailed(
      'host',
      `the evidence of ${step} does not fit its schema: ${z.prettifyError(evidence.error)}`,
      { seen, cause: evidence.error },
    );
  return evidence.data;
};

/** Passes the failpoints of a step: one for each phase of its effects, and one when an effect has started a program. */
const createFailpoints = (step: StepName, failpoint: (name: string) => void) => {
  let acting: EffectName | undefined;
  const watch: WatchEffects = (effect, phase) => {
    acting = phase === 'acting' ? effect : undefined;
    if (phase === 'intent' || phase === 'acted' || phase === 'result')
      failpoint(`${step} ${effect} ${phase}`);
  };
  const onStarted = () => {
    if (acting !== undefined) failpoint(`${step} ${acting} running`);
  };
  return { watch, onStarted };
};

/** Runs the step of a request once. @returns the data of its outcome. @throws what the step throws. */
export const runStep = async <Host>(
  options: StepOptions<Host>,
  request: NotedRequest,
  signal: AbortSignal,
  output: (line: string) => void,
) => {
  const { journal, clock, workplace, failpoint = () => undefined } = options;
  const { iteration, step, attempt } = request;
  const handler = options.steps[step];
  if (!handler) throw new StepFailed('host', `this host has no step ${step}`);
  const event = readRequest(journal, request.bytes);
  const needs = unmetNeeds(event.data.needs);
  if (needs.length > 0)
    throw new StepFailed('host', `it needs ${needs.join(', ')}, which this agent does not know: upgrade it`, {
      code: 'too-old',
    });
  const workFolder = workplace.makeFolder(request);
  const startedAt = request.begunAt ?? clock.now(); // a step that a reboot cut began before this run
  const { watch, onStarted } = createFailpoints(step, failpoint);
  const seen = await handler(event.data.request, {
    iteration,
    step,
    attempt,
    askedAt: journal.requests.askedAt(request),
    key: `${iteration}.${attempt}`,
    effect: createEffect(journal, request, signal, watch),
    host: options.host,
    run: workplace.run(output, signal, onStarted),
    attest: options.attest,
    trust: options.trust,
    note: output,
    workFolder,
    ownEvidence: createOwnEvidence(journal, iteration),
    bootsAfter: (bootId) => journal.boots.after(bootId),
    signal,
  });
  return {
    evidence: checkEvidence(step, seen),
    seconds: Math.max(0, clock.now() - startedAt) / 1000,
  };
};
