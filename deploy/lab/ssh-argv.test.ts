import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createRun } from '../../host/run.ts';
import { freePort } from '../sshd.ts';
import { labPlaces } from './lab-places.ts';
import { neverConnected, sshArgv } from './ssh-argv.ts';

const said = async (port: number) => {
  const folder = mkdtempSync(join(tmpdir(), 'ka-ssh-'));
  try {
    const argv = sshArgv(labPlaces(folder), { board: port }, ['true']);
    return (await createRun(() => undefined)(argv, { quiet: true, exitCodes: [255] })).stderr;
  } finally {
    rmSync(folder, { recursive: true });
  }
};

it('is distinguished from a connection that went down: nothing listens', async () => {
  expect(neverConnected(await said(await freePort('127.0.0.1')))).toBe(true);
});

it('is distinguished from a connection that went down: it is dropped before the first byte', async () => {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  try {
    expect(neverConnected(await said(typeof address === 'object' && address ? address.port : 0))).toBe(true);
  } finally {
    server.close();
  }
});

it.each(['', 'Connection to 127.0.0.1 closed by remote host.', 'client_loop: send disconnect: Broken pipe'])(
  'takes "%s" for a board that is on its way down',
  (stderr) => expect(neverConnected(stderr)).toBe(false),
);
