import { expect } from 'vitest';
import type { NewEvent } from '../../schemas/events.ts';
import { type Command, decide } from '../decider/decide.ts';
import { RefusedByDecider } from '../decider/refusal.ts';
import { refusalWords } from '../reading/english/refusals.ts';
import { type Happening, type History, historyOf } from './history.ts';

/** `LandRequested.1 → boltzmann`. */
const spell = ({ type, attempt, host }: NewEvent): string =>
  `${type}.${attempt}${host === undefined ? '' : ` → ${host}`}`;

interface Decided {
  /** Expects that the command produces these events, in order. */
  then(...events: string[]): NewEvent[];
  thenRefused(message: RegExp): void;
}

export interface Given {
  history: History;
  when(command: Command): Decided;
}

export const advance: Command = { do: 'Advance' };

/** A history of these happenings. The coordinator has answered all but the last. */
export const given = (...happenings: readonly Happening[]): Given => {
  const history = historyOf(...happenings);
  return {
    history,
    when: (command) => ({
      // biome-ignore lint/suspicious/noThenProperty: given, when, then: nobody awaits it
      then: (...events) => {
        const decided = decide(command, history.state);
        expect(decided.map(spell)).toEqual(events);
        return decided;
      },
      thenRefused: (message) => {
        let refused: unknown;
        try {
          decide(command, history.state);
        } catch (error) {
          refused = error;
        }
        expect(refused).toBeInstanceOf(RefusedByDecider);
        const { iteration, reason } = refused as RefusedByDecider;
        expect(refusalWords(iteration, reason)).toMatch(message);
      },
    }),
  };
};
