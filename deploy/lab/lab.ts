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

/** @throws {Error} unless this is root's process: only root can fill a root folder with other owners' files. */
const requireRoot = () => {
  if (process.getuid?.() !== 0)
    throw new Error('a virtual board can be made by root alone: run this command as root');
};

/** Whether a whole lab stands in a folder. */
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
 * Makes a lab anew and starts it: a fleet whose board is a virtual machine. What stood in the folder is wiped, if it is a
 * fleet that doesn't run.
 * @throws {Error} in one sentence, if it can't be made or does not come up.
 */
export const makeLab = async (folder: string, enrolHost: EnrolHost, onProgress: Progress): Promise<void> => {
  requireRoot();
  const ports = await chooseFixedPorts();
  const board = virtualBoardMaking(ports, enrolHost);
  await provisionSandbox({ folder, example: exampleLab, board, onProgress });
  await start(folder, onProgress);
};

/** Starts the lab in a folder as it was left, or makes one where there is none. */
export const startLab = async (folder: string, enrolHost: EnrolHost, onProgress: Progress): Promise<void> =>
  (await isLab(sandboxPlaces(folder))) ? start(folder, onProgress) : makeLab(folder, enrolHost, onProgress);

/**
 * Stops a lab and removes it with all that it holds. What is kept in the cache stays.
 * @returns false if there was none.
 * @throws {Error} if something else stands there.
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
