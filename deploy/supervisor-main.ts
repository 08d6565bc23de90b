import { virtualBoard } from './lab/virtual-board.ts';
import type { BoardKind } from './local-fleet/board/board-kind.ts';
import type { BoardMachine } from './local-fleet/board/board-machine.ts';
import { readFacts, type SandboxFacts } from './local-fleet/sandbox-facts.ts';
import { holdSandbox } from './local-fleet/sandbox-lock.ts';
import { endLeftovers } from './local-fleet/sandbox-state.ts';
import { supervise } from './local-fleet/supervisor.ts';
import { type SandboxPlaces, sandboxPlaces } from './places/sandbox-places.ts';
import { folderBoard } from './sandbox/folder-board.ts';

const machineOf: Record<BoardKind, (places: SandboxPlaces, facts: SandboxFacts) => BoardMachine> = {
  folder: folderBoard,
  virtual: virtualBoard,
};

/** `supervisor-main.ts FOLDER`: runs the sandbox in FOLDER until SIGTERM. */
const main = async () => {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) throw new Error('usage: supervisor-main.ts FOLDER');
  const places = sandboxPlaces(folder);
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => stop.abort());
  process.umask(0o022);
  const letGo = await holdSandbox(places);
  try {
    await endLeftovers(places);
    const facts = await readFacts(places);
    await supervise(places, facts, machineOf[facts.board](places, facts), stop.signal);
  } finally {
    await letGo();
  }
};

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
