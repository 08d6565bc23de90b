import type { KeptMessage } from './check-event.ts';

/**
 * Which message counts under each subject, to who reads messages one by one. A server lets nobody say another thing under a
 * subject, but clusters have let it happen: the first message counts.
 */
export const createFirstMessages = () => {
  const firsts = new Map<string, number>();
  return {
    /** @returns why a message does not count, if it is the second under its subject. One that comes again is no second. */
    refuse({ sequence, subject }: Pick<KeptMessage, 'sequence' | 'subject'>): string | undefined {
      const first = firsts.get(subject);
      if (first !== undefined && first < sequence)
        return `it is the second message under this subject: the one at sequence ${first} counts`;
      firsts.set(subject, sequence);
      return undefined;
    },
  };
};
