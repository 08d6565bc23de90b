import { setTimeout as sleep } from 'node:timers/promises';
import { whyUnconfined } from '../../agents/builder/makepkg/confinement.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { trustNow } from '../../eventlog/signing/trust.ts';
import type { Run } from '../../host/run.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { exampleNamed } from '../examples/examples.ts';
import type { SandboxPlaces } from '../places/sandbox-places.ts';
import { createLoggedRun } from '../processes/logged-run.ts';
import { buildUser } from './baseline.ts';
import { readyWithinMs } from './board/board-kind.ts';
import type { BoardMachine } from './board/board-machine.ts';
import { type Building, type FleetNow, writeConfigs } from './configs.ts';
import { createDaemons, type Daemons } from './daemons.ts';
import { holdWorktrees } from './kept-worktrees.ts';
import { provisionLog, waitForHosts } from './readiness.ts';
import type { SandboxFacts } from './sandbox-facts.ts';
import { createStateWriter } from './sandbox-state.ts';
import { type RunningServers, startServers } from './servers/servers.ts';
import { endGpgDaemons } from './signing-key.ts';

const lookEveryMs = 100;

/** Takes the kept worktrees of an example, unless another fleet builds in them. */
const takeWorktrees = async ({ worktrees }: SandboxFacts) => {
  const taken = await holdWorktrees(worktrees);
  if (worktrees !== undefined && !taken)
    console.error(`another fleet builds in ${worktrees}: this one begins without worktrees`);
  return taken;
};

/** Who builds here, and whether a PKGBUILD has to be confined: wherever that works. */
const builds = async (run: Run): Promise<Omit<Building, 'worktrees'>> => {
  const user = await buildUser(run);
  // A try that took too long proves nothing.
  const why = await whyUnconfined(user).catch(() => undefined);
  return { user, confinement: why === undefined ? 'required' : 'if-possible' };
};

/** Runs a sandbox fleet until `signal` fires: its servers, its coordinator, its hosts, and the board's power. */
export const supervise = async (
  places: SandboxPlaces,
  facts: SandboxFacts,
  board: BoardMachine,
  signal: AbortSignal,
): Promise<void> => {
  const run = createLoggedRun(places.log('provision'));
  let servers: RunningServers | undefined;
  let daemons: Daemons | undefined;
  let worktrees: Awaited<ReturnType<typeof takeWorktrees>>;
  const tell = createStateWriter(places, () => [
    ...(servers?.describe() ?? []),
    ...(daemons?.describe() ?? []),
  ]);
  const stopAll = async () => {
    // The daemons end before the servers, so that none of them loses its server.
    await daemons?.stop();
    await servers?.stop();
    await endGpgDaemons(run, places);
    await worktrees?.letGo();
  };

  try {
    await tell();
    const since = Date.now();
    servers = await startServers(places, facts, () => void tell());
    const { natsUrl, listen } = servers;
    await tell({ natsUrl });
    const now: FleetNow = { places, example: exampleNamed(facts.example), facts, servers: listen };
    worktrees = await takeWorktrees(facts);
    await Promise.all([
      writeConfigs(now, { ...(await builds(run)), worktrees: worktrees?.folder }),
      board.writeConfigs?.(now),
      provisionLog(places, natsUrl),
    ]);

    daemons = createDaemons(places, board, () => tell());
    await daemons.start();
    await waitForHosts(places, natsUrl, {
      trust: trustNow(readConfigFile(places.fleetFile, Fleet)),
      withinMs: readyWithinMs[facts.board],
      since,
      isUp: daemons.isUp,
      fault: daemons.fault,
      signal,
    });
    if (!signal.aborted) await tell({ phase: 'ready' });

    const watchServers = servers.watch(signal);
    while (!signal.aborted) {
      await daemons.tend();
      await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
    }
    await watchServers;
    await tell({ phase: 'stopping' });
    await stopAll();
    await tell({ phase: 'stopped' });
  } catch (error) {
    await stopAll();
    await tell({ phase: 'failed', why: error instanceof Error ? error.message : String(error) });
    throw error;
  }
};
