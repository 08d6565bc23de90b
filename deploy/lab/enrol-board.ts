import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { createRun } from '../../host/run.ts';
import type { Making, SandboxExample } from '../examples/example.ts';
import type { FixedPorts, SandboxFacts } from '../local-fleet/sandbox-facts.ts';
import { keepProcess } from '../processes/kept-process.ts';
import { generateSshKey } from '../sshd.ts';
import { boardHostConfig } from './board-host-config.ts';
import { labPlaces } from './lab-places.ts';
import { sshArgv } from './ssh-argv.ts';
import { machine } from './virtual-board.ts';

/** Makes a machine a host of the fleet, over SSH, as `ka enrol` does. */
export type EnrolHost = (options: {
  host: string;
  login: { user: string; address: string; port: number; hostKey: string; identity: string };
  hostConfigFile: string;
  fleetFile: string;
  cacheFolder: string;
  onProgress: (line: string) => void;
}) => Promise<{ sshPublicKey: string | null }>;

const bootsWithinMs = 300_000;

/** Waits for the board's SSH server. @throws {Error} if it does not answer in time or the board has ended. */
const waitForSsh = async (
  places: ReturnType<typeof labPlaces>,
  ports: FixedPorts,
  isRunning: () => boolean,
): Promise<void> => {
  const run = createRun(() => undefined);
  for (const until = Date.now() + bootsWithinMs; ; await sleep(1_000)) {
    const answered = await run(sshArgv(places, ports, ['true']), { quiet: true, timeoutMs: 30_000 }).then(
      () => true,
      () => false,
    );
    if (answered) return;
    if (!isRunning() || Date.now() > until)
      throw new Error(
        `the virtual board ${isRunning() ? `did not answer by SSH within ${bootsWithinMs / 1000} s` : 'ended'}; see ${places.consoleLog} and ${join(places.folder, 'run/log/fresnel.log')}`,
      );
  }
};

/**
 * Boots a new virtual board for the first time, makes it a host of the fleet, and shuts it down. Its agent reports to
 * the fleet when the fleet starts.
 */
export const enrolBoard = async (
  { places: sandbox, cacheFolder, onProgress }: Making,
  example: SandboxExample,
  { ports, fingerprint }: Pick<SandboxFacts, 'ports' | 'fingerprint'>,
  enrolHost: EnrolHost,
): Promise<void> => {
  if (!ports) throw new Error('a virtual board needs ports that stay');
  const places = labPlaces(sandbox.folder);
  const hertz = await generateSshKey(join(sandbox.sshd('hertz'), 'host_key'));
  const hostConfigFile = join(sandbox.control, 'fresnel.yaml');
  await writeFile(
    hostConfigFile,
    stringify(boardHostConfig(sandbox, example, { ports, fingerprint, hertz })),
  );

  onProgress('booting the virtual board for the first time');
  const board = keepProcess({ ...machine(places, ports), logFile: sandbox.log('fresnel') }, () => undefined);
  board.start();
  try {
    await waitForSsh(places, ports, () => board.identity !== undefined && board.restarts === 0);
    onProgress('ka enrol fresnel');
    const { sshPublicKey } = await enrolHost({
      host: 'fresnel',
      login: {
        user: 'root',
        address: '127.0.0.1',
        port: ports.board,
        hostKey: (await readFile(`${places.hostKey}.pub`, 'utf8')).trim(),
        identity: places.administratorKey,
      },
      hostConfigFile,
      fleetFile: sandbox.fleetFile,
      cacheFolder,
      onProgress,
    });
    // hertz accepts this key, so that the board can fetch packages and store backups.
    const identity = `${sandbox.sshKey('fresnel')}.pub`;
    await mkdir(dirname(identity), { recursive: true });
    await writeFile(identity, `${sshPublicKey ?? ''}\n`);
  } finally {
    await board.stop();
  }
};
