import type { FleetFacts } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import type { ReadPlan } from '../../schemas/plan.ts';

const own = <Value>(record: Readonly<Record<string, Value>>, key: string): Value | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined;

/** The facts of the fleet's file on which the decisions about a plan are based. */
export const fleetFacts = ({ hosts, review, board }: ReadPlan, fleet: Fleet): FleetFacts => {
  const named = [...hosts.builders, hosts.publisher, hosts.backup, board];
  return {
    signingKey: fleet.signingKey,
    approvals: fleet.approvals,
    authorMayApprove: fleet.authorMayApprove,
    hosts: Object.fromEntries(
      named.flatMap((host) => {
        const there = own(fleet.hosts, host);
        return there ? [[host, { role: there.role }]] : [];
      }),
    ),
    reviewers: Object.fromEntries(
      review.approvals.flatMap((person) => {
        const there = own(fleet.operators, person);
        return there ? [[person, { mayApprove: there.may.includes('approve') }]] : [];
      }),
    ),
  };
};
