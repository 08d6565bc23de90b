import type { LoggedEvent } from '../../schemas/events.ts';
import { sha256 } from '../../schemas/hash.ts';
import type { Iteration } from '../decider/state.ts';
import { type ClauseVerdict, verdictsOf } from '../decider/verdicts.ts';
import { clauseWords } from './english/check-faults.ts';
import { eventLine } from './event-line.ts';
import { type Reworded, rewordedIn } from './rendered-words.ts';
import { risksOf } from './risks.ts';

/** An event on which a verdict is based: its place in the log, and its content in one line. */
export interface Proof {
  sequence: number;
  type: string;
  source: string;
  time: string;
  /** sha256 of the event's exact bytes. */
  sha256: string;
  says: string;
}

export interface Audit {
  iteration: string;
  status: 'running' | 'closed' | 'failed' | 'aborted';
  /** `because` is the sentence for the facts in `faults` and `waiver`. */
  clauses: (ClauseVerdict & { because: string; evidence: Proof[] })[];
  /** The plan's risks that came up, and what showed it. */
  risks: { id: string; risk: string; answer: string; cameUp: string }[];
  /**
   * Recorded texts that differ from what today's code renders from the same facts: the code was reworded since, or
   * somebody slipped in another text. No decision depends on this.
   */
  notes: Reworded[];
}

/** The ledger: clause → verdict → evidence → event. `events` is the log that the iteration was folded from. */
export const auditOf = (iteration: Iteration, events: readonly LoggedEvent[]): Audit => {
  const bySequence = new Map(events.map((logged) => [logged.sequence, logged]));
  const proofOf = (sequence: number): Proof[] => {
    const logged = bySequence.get(sequence);
    if (!logged) return [];
    const { event, bytes } = logged;
    const { type, source, time } = event;
    return [{ sequence, type, source, time, sha256: sha256(bytes), says: eventLine(event) }];
  };
  return {
    iteration: iteration.name,
    status: iteration.ended?.status ?? 'running',
    clauses: verdictsOf(iteration).map((clause) => ({
      ...clause,
      because: clauseWords(clause),
      evidence: clause.events.flatMap(proofOf),
    })),
    risks: risksOf(iteration).flatMap(({ cameUp, ...risk }) => (cameUp ? [{ ...risk, cameUp }] : [])),
    notes: rewordedIn(iteration.name, events),
  };
};
