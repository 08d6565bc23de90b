import type { Opened } from '../../../schemas/open.ts';
import type { Refusal } from '../../../schemas/reasons.ts';

/** Why a person's request can't be done, and what can be done instead. @param name the iteration that it is about. */
export const refusalWords = (name: string, reason: Opened<Refusal>): string => {
  switch (reason.code) {
    case 'no-such-iteration':
      return `there is no iteration "${name}"; the log holds: ${reason.names.join(', ') || 'none'}`;
    case 'name-taken':
      return `iteration "${name}" exists already, started ${reason.time} by ${reason.by}; give the plan another name`;
    case 'board-busy':
      return `${reason.iteration} is under way on ${reason.board}, and one board takes one iteration at a time: wait for its end, or ka abort ${reason.iteration}`;
    case 'nobody-reviews':
      return `the plan of ${name} asks for nobody's review, and no host publishes or installs what nobody has approved: name somebody in review.approvals`;
    case 'only-approver':
      return `${reason.by} starts ${name} and would be its only approver: let the plan ask somebody else, or say review.authorMayApprove: true`;
    case 'too-few-approvers': {
      const asked = reason.approvers.join(', ') || 'nobody';
      const author = reason.authorCounts
        ? ''
        : `; ${reason.by}, who starts it, does not count unless both the plan (review.authorMayApprove) and the fleet's file (authorMayApprove) say so`;
      return `this fleet wants ${reason.expected} to approve, and the plan of ${name} asks ${asked}${author}: name more in review.approvals`;
    }
    case 'too-old':
      return `${name} needs ${reason.needs.join(', ')}, which this version of the coordinator does not know: upgrade it`;
    case 'plan-differs':
      return `the plan of ${name} differs from its own text, or its hash from that of the text and the series: start it again with ka iterate`;
    case 'host-unknown':
      return `the plan of ${name} names the host "${reason.host}", which the coordinator's copy of the fleet's file does not have`;
    case 'host-role':
      return `${reason.host} is a ${reason.role} in the coordinator's copy of the fleet's file, and the plan of ${name} takes it for a ${reason.expected.join(' or ')}`;
    case 'person-unknown':
      return `the plan of ${name} asks for the review of "${reason.person}", whom the coordinator's copy of the fleet's file does not have`;
    case 'may-not-approve':
      return `${reason.person} may not approve: the coordinator's copy of the fleet's file does not say so`;
    case 'has-ended':
      return `${name} has ${reason.status} already`;
    case 'under-way':
      return `${name} is under way: only a failed iteration can be retried`;
    case 'rolled-back':
      return `${name} was rolled back on ${reason.board}, so its kernel is gone: start a new iteration with a new pkgrel`;
    case 'landed-otherwise':
      return `${name} has landed something else than planned, and another landing needs another review: start a new iteration`;
    case 'asked-already':
      return `this was asked of ${name} already, and the coordinator has not answered yet; see: ka log ${name}`;
    case 'nothing-to-review':
      return `${name} has no preflight yet: there is nothing to review; see: ka status`;
    case 'not-asked-to-review':
      return `the plan of ${name} does not ask for the review of "${reason.by}"; it asks for ${reason.approvals.join(', ') || 'nobody'}`;
    case 'past-review':
      return `${name} is past its review: its landing was requested already`;
    case 'being-aborted':
      return `${name} is being aborted already, by ${reason.by}`;
    case 'nothing-to-waive':
      return `${name} has ${reason.status} already: nothing can be waived any more`;
    case 'no-such-clause':
      return `the plan of ${name} has no clause "${reason.clause}"; it has ${reason.clauses.join(', ')}`;
    case 'waived-already':
      return `${reason.clause} of ${name} is waived already, by ${reason.by}`;
    case 'rules-unknown':
      return `${name} is decided by rules that this version does not know (${reason.rules.join(', ')}): upgrade it`;
    case 'unknown':
      return `${name}: ${reason.named}, which this version does not know`;
  }
};
