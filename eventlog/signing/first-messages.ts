import type { KeptMessage } from './check-event.ts';

/**
 * Finds the second message under a subject. A server accepts only one message per subject, but clusters have let a
 * second one through: the first message counts.
 * @param earlier the sequence of the first message under a subject, among those that are not passed here.
 */
export const createFirstMessages = (earlier: (subject: string) => number | undefined = () => undefined) => {
  const firsts = new Map<string, number>();
  return {
    /** @returns why the message is refused, if it is the second under its subject. A redelivered message is no second one. */
    refuse({ sequence, subject }: Pick<KeptMessage, 'sequence' | 'subject'>): string | undefined {
      const first = firsts.get(subject) ?? earlier(subject);
      if (first !== undefined && first < sequence)
        return `it is the second message under this subject: the one at sequence ${first} counts`;
      firsts.set(subject, sequence);
      return undefined;
    },
  };
};
