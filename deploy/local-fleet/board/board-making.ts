import type { Run } from '../../../host/run.ts';
import type { Making, SandboxExample } from '../../examples/example.ts';
import type { FixedPorts, SandboxFacts } from '../sandbox-facts.ts';
import type { BoardKind } from './board-kind.ts';

/** What a fleet's board is made as. */
export interface BoardMaking {
  kind: BoardKind;
  /** The fleet's name, and where its servers listen for good. */
  fleet: string;
  ports?: FixedPorts;
  /**
   * Makes the board around its root at `places.root`, into which `install` puts pacman's keyring and the
   * baseline packages.
   */
  make(making: Making, run: Run, example: SandboxExample, install: () => Promise<void>): Promise<void>;
  /** What the board needs once everything else of the fleet is there. */
  finish?(making: Making, example: SandboxExample, facts: Omit<SandboxFacts, 'kind'>): Promise<void>;
}
