import { z } from 'zod';
import type { Plan } from './plan.ts';

/**
 * What has to be understood to carry a plan or a request out, beyond format 1 of the log. The program fills it in from what the
 * plan uses; nobody types it. A coordinator that lacks one refuses, and a host that lacks one fails before any effect:
 * "ignored" must never become "did something else".
 */
export const Needs = z.array(z.string().regex(/^[a-z][a-z0-9-]{0,59}$/)).max(100);
export type Needs = z.infer<typeof Needs>;

/** Each need that a plan may have: its name, and whether this plan has it. Format 1 itself needs nothing. */
const needsOfPlans: Readonly<Record<string, (plan: Plan) => boolean>> = {};

/** What a plan needs. */
export const needsOf = (plan: Plan, known = needsOfPlans): Needs =>
  Object.entries(known).flatMap(([need, isNeeded]) => (isNeeded(plan) ? [need] : []));

/** Those that this version does not understand. */
export const unmetNeeds = (
  needs: Needs | undefined,
  known: readonly string[] = Object.keys(needsOfPlans),
): Needs => (needs ?? []).filter((need) => !known.includes(need));
