import { z } from 'zod';
import { HostName, ObjectId, PurposeName, Sha256 } from './names.ts';
import { Resolved } from './plan.ts';
import { SignedEvent } from './signed-event.ts';

/**
 * A git object that people approve, and its purpose. `series` is the tree of the baseline with the series applied;
 * `packaging` is the tree of the package's folder that lands; `prepared` that of the sources as its `prepare()` leaves
 * them; `config` that of the `.config`s among them.
 */
export type TreePurpose = 'series' | 'packaging' | 'prepared' | 'config';
export const ApprovedTree = z.object({ purpose: PurposeName, tree: ObjectId });
export type ApprovedTree = z.infer<typeof ApprovedTree>;

/** What a review is about and an approval names. If any of it changes, the approval no longer counts. */
export const Reviewed = z.object({
  board: HostName,
  planSha256: Sha256,
  trees: z.array(ApprovedTree).min(1),
});
export type Reviewed = z.infer<typeof Reviewed>;

/**
 * What was reviewed, with all by which a host sees for itself that people have agreed to it: the plan, the start and the
 * approvals, as people signed them.
 */
export const Approved = Reviewed.extend({
  /** What `planSha256` is the hash of: the plan's own text, each patch's sha256, and what its names stand for. */
  planText: z.string(),
  patches: z.array(Sha256),
  resolved: Resolved.optional(),
  /** A host refuses without it. */
  start: SignedEvent.optional(),
  approvals: z.array(SignedEvent),
});
export type Approved = z.infer<typeof Approved>;

/** The tree of that purpose; undefined if there is none. */
export const treeFor = (
  { trees }: { trees: readonly ApprovedTree[] },
  purpose: TreePurpose,
): string | undefined => trees.find((one) => one.purpose === purpose)?.tree;
