import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { nodeArgv } from '../deploy/processes/node-argv.ts';
import { identify, isRunning } from '../deploy/processes/process-identity.ts';
import { descendantsOf, killTree } from '../deploy/processes/process-tree.ts';
import { createFailpoints } from './faults/failpoints.ts';
import { faults, faultTable } from './faults/fault-table.ts';
import { waitUntil } from './faults/sandbox-faults.ts';
import { type ProxyMode, startProxy } from './faults/tcp-proxy.ts';
import { failedTests } from './tables/failed-tests.ts';
import { keepResults, readResults, resultsOf, tableReport, unproven } from './tables/table-results.ts';

const scratch = mkdtempSync(join(tmpdir(), 'ka-fault-suite-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('the fault table', () => {
  it('has a section in docs/when-things-go-wrong.md for each row, and no other', () => {
    const document = readFileSync(resolve(import.meta.dirname, '../docs/when-things-go-wrong.md'), 'utf8');
    const headings = [...document.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
    expect(headings).toEqual(faultTable.map(({ id }) => id));
  });

  it('counts a row as proven by a passed test and no failed one, and keeps results of rows not run', async () => {
    const file = join(scratch, 'rows.json');
    const at = '2026-01-02T03:04:05.000Z';
    const test = (row: 'disk-full' | 'clock-wrong' | 'two-agents', state: 'passed' | 'failed') => ({
      row,
      state,
      seconds: 1.26,
    });
    await keepResults(resultsOf([test('disk-full', 'failed'), test('two-agents', 'passed')], at), file);
    await keepResults(resultsOf([test('clock-wrong', 'passed'), test('clock-wrong', 'failed')], at), file);
    await keepResults(resultsOf([test('disk-full', 'passed'), test('disk-full', 'passed')], at), file);
    const results = readResults(file);
    expect(results['disk-full']).toEqual({ passed: 2, failed: 0, seconds: 2.6, at });
    expect(unproven(results, faultTable)).toContain('clock-wrong');
    expect(unproven(results, faultTable)).not.toContain('two-agents');
    expect(unproven(results, faultTable)).toHaveLength(faultTable.length - 2);
    const report = tableReport(results, faults, 160);
    expect(report).toContain('1 of 2 failed in 2.6');
    expect(report).toMatch(/2 of \d+ rows proven$/);
  });

  it('shows the place and the errors of each failed test, in a few lines', () => {
    const lines = Array.from({ length: 9 }, (_, index) => `line ${index + 1}`);
    const said = failedTests([
      { place: 'test/faults/a.test.ts:7', name: 'disk-full: x', messages: [lines.join('\n\n'), 'and so'] },
      { place: 'test/faults/b.test.ts:3', name: 'signing-key: y', messages: [] },
    ]);
    expect(stripVTControlCharacters(said).split('\n')).toEqual([
      'failed: disk-full: x (test/faults/a.test.ts:7)',
      ...lines.slice(0, 6).map((line) => `    ${line}`),
      '    … 3 more lines',
      '    and so',
      'failed: signing-key: y (test/faults/b.test.ts:3)',
      '    it did not run',
    ]);
  });
});

describe('a proxy', () => {
  /** What a client receives from a server that sends 100 bytes, and whether the connection ended. */
  const through = async (mode: ProxyMode, waitMs = 1_000) => {
    const server = createServer((socket) => socket.end(Buffer.alloc(100, 8))).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const proxy = await startProxy(typeof address === 'object' && address ? address.port : 0);
    proxy.set(mode);
    const read = async () => {
      const socket = connect({ port: proxy.port, host: '127.0.0.1' });
      const chunks: Buffer[] = [];
      socket.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
      socket.on('error', () => undefined);
      const ended = await Promise.race([once(socket, 'close').then(() => true), sleep(waitMs, false)]);
      socket.destroy();
      return { bytes: Buffer.concat(chunks), ended };
    };
    const [first, second] = [await read(), await read()];
    await proxy.close();
    server.close();
    return { first, second, damaged: proxy.damaged };
  };

  it.each<[ProxyMode, number, boolean]>([
    [{ does: 'pass' }, 100, true],
    [{ does: 'refuse' }, 0, true],
    [{ does: 'cut', afterBytes: 30 }, 30, true],
    [{ does: 'freeze' }, 0, false],
  ])('follows its mode: %j', async (mode, sizeBytes, ended) => {
    const { first } = await through(mode, 200);
    expect({ sizeBytes: first.bytes.length, ended: first.ended }).toEqual({ sizeBytes, ended });
  });

  it('flips one bit of one byte, on the given number of connections', async () => {
    const { first, second, damaged } = await through({ does: 'flip', afterBytes: 40, connections: 1 });
    expect(first.bytes.indexOf(9)).toBe(40);
    expect(first.bytes.filter((byte) => byte !== 8)).toHaveLength(1);
    expect(second.bytes).toEqual(Buffer.alloc(100, 8));
    expect(damaged).toBe(1);
  });

  it('holds data that arrives while it is frozen, and passes it on later', async () => {
    const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const proxy = await startProxy(typeof address === 'object' && address ? address.port : 0);
    const socket = connect({ port: proxy.port, host: '127.0.0.1' });
    socket.write('a');
    await once(socket, 'data');
    proxy.set({ does: 'freeze' });
    socket.write('b');
    expect(await Promise.race([once(socket, 'data'), sleep(100, 'nothing')])).toBe('nothing');
    proxy.set({ does: 'pass' });
    expect(String((await once(socket, 'data'))[0])).toBe('b');
    socket.end();
    expect(await buffer(socket)).toHaveLength(0);
    await proxy.close();
    server.close();
  });
});

describe('failpoints', () => {
  const daemon = (env: Record<string, string>) => {
    const [program = '', ...args] = nodeArgv('test/faults/failpoint-daemon.ts');
    return spawn(program, args, { env: { ...process.env, ...env }, stdio: 'ignore' });
  };

  it('kill a daemon at a failpoint, alone or with its children', async () => {
    const failpoints = await createFailpoints(join(scratch, 'points'));
    for (const how of ['alone', 'with children'] as const) {
      await failpoints.arm('hertz', 'publish swap acted');
      const running = daemon(failpoints.env);
      const ended = once(running, 'exit');
      const reached = await failpoints.waitReached({ host: 'hertz' });
      expect(reached).toMatchObject({ name: 'publish swap acted', process: identify(running.pid ?? 0) });
      const child = descendantsOf(reached.process.pid).find(
        ({ pid }) => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n',
      );
      if (!child) throw new Error('it has no child');
      await failpoints.kill(reached, how);
      expect((await ended)[1]).toBe('SIGKILL');
      await waitUntil('its child is there or not', () => isRunning(child) === (how === 'alone'));
      killTree(child.pid);
      expect(await failpoints.reached()).toEqual([]);
    }
    expect(await failpoints.passed()).toEqual([
      { host: 'hertz', name: 'publish fetch intent' },
      { host: 'hertz', name: 'publish swap acted' },
      { host: 'hertz', name: 'publish fetch intent' },
      { host: 'hertz', name: 'publish swap acted' },
    ]);
  });

  it('kill at each point once while something runs, and report the points that were not met', async () => {
    const failpoints = await createFailpoints(join(scratch, 'each'));
    const untilDone = async () => {
      for (;;) {
        const [code] = await once(daemon(failpoints.env), 'exit');
        if (code === 0) return 'done';
      }
    };
    const points = ['publish fetch intent', 'publish swap acted', 'publish mirror result'].map((name) => ({
      host: 'hertz',
      name,
    }));
    const { result, killed, missed } = await failpoints.killAtEach(points, 'with children', untilDone());
    expect(result).toBe('done');
    expect(killed).toEqual(points.slice(0, 2));
    expect(missed).toEqual(points.slice(2));
  });
});
