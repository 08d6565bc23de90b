import type { Run } from '../../../host/run.ts';
import type { Making, SandboxExample } from '../../examples/example.ts';
import type { FixedPorts, SandboxFacts } from '../sandbox-facts.ts';
import type { BoardKind } from './board-kind.ts';

/** How a fleet's board is made. */
export interface BoardMaking {
  kind: BoardKind;
  /** The fleet's name, and the fixed ports of its servers if it has such. */
  fleet: string;
  ports?: FixedPorts;
  /**
   * Makes the board around its root at `places.root`, into which `install` puts pacman's keyring and the
   * baseline packages.
   */
  make(making: Making, run: Run, example: SandboxExample, install: () => Promise<void>): Promise<void>;
  /** Completes the board once everything else of the fleet exists. */
  finish?(making: Making, example: SandboxExample, facts: Omit<SandboxFacts, 'kind'>): Promise<void>;
}
