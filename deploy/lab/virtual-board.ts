import type { BoardMachine } from '../sandbox/board-machine.ts';
import type { SandboxFacts } from '../sandbox/identity.ts';
import type { SandboxPlaces } from '../sandbox/places.ts';

export const virtualBoard = (_places: SandboxPlaces, _facts: SandboxFacts): BoardMachine => {
  throw new Error('not yet');
};
