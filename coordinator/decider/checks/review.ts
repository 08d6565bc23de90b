import { reviewOf } from '../graph.ts';
import type { CheckRule } from './check-rule.ts';

export const approved: CheckRule<'approved'> = {
  step: 'review',
  judge: ({ by }, iteration) => {
    const review = reviewOf(iteration);
    if (!review) return undefined;
    const words = iteration.approvals.filter(
      (word) => by.includes(word.by) && word.approved && word.voided === undefined,
    );
    const isMissing = (person: string) =>
      review.missing.includes(person) || !words.some((word) => word.by === person);
    return by.some(isMissing) ? undefined : { faults: [], events: words.map(({ sequence }) => sequence) };
  },
};
