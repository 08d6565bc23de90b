import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { exampleLab } from '../examples/example-lab.ts';
import { provisionSandbox } from '../local-fleet/provision.ts';
import { readFacts } from '../local-fleet/sandbox-facts.ts';
import { startSandbox, stopSandbox } from '../local-fleet/start-stop.ts';
import { type SandboxPlaces, sandboxPlaces } from '../places/sandbox-places.ts';
import type { EnrolHost } from './enrol-board.ts';
import { chooseFixedPorts } from './fixed-ports.ts';
import { virtualBoardMaking } from './virtual-board-making.ts';

type Progress = (line: string) => void;

/** @throws {Error} unless this process is root's: only root can fill a folder with other owners' files. */
const requireRoot = () => {
  if (process.getuid?.() !== 0)
    throw new Error('only root can make a virtual board: run this command as root');
};

/** Whether a folder holds a complete lab. */
const isLab = async (places: SandboxPlaces): Promise<boolean> =>
  existsSync(places.marker) &&
  (await readFacts(places).then(
    ({ board }) => board === 'virtual',
    () => false,
  ));

const start = async (folder: string, onProgress: Progress): Promise<void> => {
  onProgress('starting nats-server, sshd, the coordinator, the hosts, and the virtual board');
  await startSandbox(folder);
};

/**
 * Makes a new lab and starts it: a fleet whose board is a virtual machine. A fleet in the folder that does not run is
 * wiped.
 * @throws {Error} in one sentence, if it can't be made or does not come up.
 */
export const makeLab = async (folder: string, enrolHost: EnrolHost, onProgress: Progress): Promise<void> => {
  requireRoot();
  const ports = await chooseFixedPorts();
  const board = virtualBoardMaking(ports, enrolHost);
  await provisionSandbox({ folder, example: exampleLab, board, onProgress });
  await start(folder, onProgress);
};

/** Starts the lab in a folder as it was left, or makes one if there is none. */
export const startLab = async (folder: string, enrolHost: EnrolHost, onProgress: Progress): Promise<void> =>
  (await isLab(sandboxPlaces(folder))) ? start(folder, onProgress) : makeLab(folder, enrolHost, onProgress);

/**
 * Stops a lab and removes it with everything in it. The cache is kept.
 * @returns false if there was none.
 * @throws {Error} if the folder holds something else.
 */
export const destroyLab = async (folder: string): Promise<boolean> => {
  const places = sandboxPlaces(folder);
  if (!existsSync(places.folder)) return false;
  if (!existsSync(places.marker) && (await readdir(places.folder)).length > 0)
    throw new Error(`${places.folder} holds files and is no lab of kernel-agent: nothing was removed`);
  await stopSandbox(folder);
  await rm(places.folder, { recursive: true, force: true });
  return true;
};
