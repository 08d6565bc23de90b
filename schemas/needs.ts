import { z } from 'zod';
import type { Plan } from './plan.ts';

/**
 * What a program has to support, beyond format 1 of the log, to carry out a plan or a request. The program derives the
 * needs from what the plan uses; nobody types them. A coordinator that does not know one of them refuses, and a host
 * that does not know one fails before any effect: an ignored need must never mean that something else is done.
 */
export const Needs = z.array(z.string().regex(/^[a-z][a-z0-9-]{0,59}$/)).max(100);
export type Needs = z.infer<typeof Needs>;

/** Each need that a plan may have: its name, and whether this plan has it. Format 1 itself needs nothing. */
const needsOfPlans: Readonly<Record<string, (plan: Plan) => boolean>> = {};

/** What a plan needs. */
export const needsOf = (plan: Plan, known = needsOfPlans): Needs =>
  Object.entries(known).flatMap(([need, isNeeded]) => (isNeeded(plan) ? [need] : []));

/** The needs that this version does not know. */
export const unmetNeeds = (
  needs: Needs | undefined,
  known: readonly string[] = Object.keys(needsOfPlans),
): Needs => (needs ?? []).filter((need) => !known.includes(need));
