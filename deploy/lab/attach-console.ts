import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { LabPlaces } from './lab-places.ts';

const leaveKey = 0x1d; // Ctrl-]
const shownLines = 20;

/**
 * Prints the last lines of the virtual board's serial line and attaches this terminal to it, until Ctrl-], the end of
 * the input, or the end of the board's power.
 * @throws {Error} if the board has no power.
 */
export const attachConsole = async (places: LabPlaces): Promise<void> => {
  const said = await readFile(places.consoleLog, 'latin1').catch(() => '');
  const socket = connect(places.console);
  try {
    await once(socket, 'connect');
  } catch (cause) {
    throw new Error(
      `the virtual board's console does not answer at ${places.console}: has it power? see: ka lab status`,
      {
        cause,
      },
    );
  }
  process.stdout.write(`${said.split('\n').slice(-shownLines).join('\n')}`, 'latin1');
  const { stdin } = process;
  if (stdin.isTTY) {
    stdin.setRawMode(true);
    process.stderr.write('\r\n[attached to fresnel; leave with Ctrl-]]\r\n');
  }
  stdin.on('data', (bytes: Buffer) => {
    const at = stdin.isTTY ? bytes.indexOf(leaveKey) : -1;
    socket.write(at < 0 ? bytes : bytes.subarray(0, at));
    if (at >= 0) socket.end();
  });
  stdin.once('end', () => socket.end());
  socket.on('data', (bytes) => process.stdout.write(bytes));
  const closed = once(socket, 'close');
  socket.once('error', () => undefined);
  await closed;
  if (stdin.isTTY) stdin.setRawMode(false);
  stdin.pause();
};
