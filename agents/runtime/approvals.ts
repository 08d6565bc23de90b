import { isDeepStrictEqual } from 'node:util';
import { checkSignedEvent } from '../../eventlog/signing/check-event.ts';
import type { Trust } from '../../eventlog/signing/trust.ts';
import { personWriter } from '../../schemas/events.ts';
import type { Approved, ApprovedTree } from '../../schemas/reviewed.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';

const treesText = (trees: readonly ApprovedTree[]): string =>
  trees.map(({ purpose, tree }) => `${purpose} ${tree}`).join(', ') || '(none)';

/** How much later than an approval's end its landing may have been stored: between decision and log there is some time. */
const graceMs = 60_000;

/** Who has given an approval of exactly this, or why it does not count. */
const approverOf = (
  approval: SignedEvent,
  trust: Trust,
  iteration: string,
  { board, planSha256, trees }: Approved,
  usedAt: number | undefined,
): { by: string } | { fault: string } => {
  const { writer } = approval;
  const checked = checkSignedEvent(trust, approval);
  if ('refused' in checked) return { fault: checked.refused.why };
  const { event } = checked.logged;
  if (event.kind !== 'iteration' || event.type !== 'ReviewApproved')
    return { fault: `it is ${writer}'s ${event.type}; expected ReviewApproved` };
  const { data } = event;
  if (event.source !== personWriter(data.by))
    return { fault: `${event.source} writes it for ${data.by}; nobody may approve for others` };
  const expected = { iteration, board, planSha256 };
  const found = { iteration: event.iteration, board: data.board, planSha256: data.planSha256 };
  for (const key of Object.keys(expected) as (keyof typeof expected)[])
    if (found[key] !== expected[key])
      return { fault: `${writer} has approved the ${key} ${found[key]}; expected ${expected[key]}` };
  if (!isDeepStrictEqual(data.trees, trees))
    return {
      fault: `${writer} has approved the trees ${treesText(data.trees)}; expected ${treesText(trees)}`,
    };
  if (usedAt !== undefined && Date.parse(data.expires) + graceMs <= usedAt)
    return {
      fault: `${writer}'s has expired at ${data.expires}, and the request is of ${new Date(usedAt).toISOString()}`,
    };
  return { by: data.by };
};

/**
 * The people who have approved exactly this board, plan and trees, by this host's own trust file: the
 * coordinator's word is not trusted. No host's clock decides whether an approval had expired when it was used. A rejection
 * among them refuses all.
 * @param usedAt when it was used, in milliseconds since 1970 by the clock of the log's server; undefined if that is not
 * known here, as after the landing: it does not expire then.
 * @returns their names, each once; or why the approvals do not count.
 */
export const approversOf = (
  approved: Approved,
  trust: Trust,
  iteration: string,
  usedAt?: number,
): { names: ReadonlySet<string> } | { fault: string } => {
  const names = new Set<string>();
  for (const approval of approved.approvals) {
    const found = approverOf(approval, trust, iteration, approved, usedAt);
    if ('fault' in found) return { fault: `An approval does not count: ${found.fault}` };
    names.add(found.by);
  }
  if (names.size >= trust.approvals) return { names };
  const who = names.size === 0 ? 'Nobody' : `Only ${[...names].join(', ')}`;
  const wanted = trust.approvals > 1 ? `; this fleet wants ${trust.approvals} people to` : '';
  return { fault: `${who} has approved the trees ${treesText(approved.trees)}${wanted}` };
};
