import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { earlierTraces, howItEnded } from './boot-traces.ts';
import { networkFault } from './network-fault.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'traces-'));
});
afterEach(() => rmSync(folder, { recursive: true }));
const at = (...path: string[]) => join(folder, ...path);
const put = (file: string, text: string) => {
  mkdirSync(join(at(file), '..'), { recursive: true });
  writeFileSync(at(file), text);
};
const banner = 'Linux version 7.0.0-fourier (builder@boltzmann) (gcc 12.2) #2 SMP';
const oops = (build: string) =>
  `Unable to handle kernel paging request\nCPU: 1 PID: 1 Comm: init Not tainted 7.0.0-fourier ${build} PREEMPT\n`;
const traces = () => ({
  pstoreFolders: [at('pstore'), at('archive')],
  watchdogStatusFile: at('bootstatus'),
});

it.each([
  [
    'a panic',
    'archive/7/001/dmesg.txt',
    '[1.2] Oops: 96\n[1.3] Kernel panic - not syncing: no init\n',
    { how: 'panic', says: 'Kernel panic - not syncing: no init' },
  ],
  [
    'an oops that the power ended',
    'pstore/dmesg-ramoops-1',
    oops('#2'),
    { how: 'unknown', says: 'Unable to handle kernel paging request' },
  ],
  ['an oops of the kernel from before', 'pstore/dmesg-ramoops-1', oops('#1'), { how: 'unknown' }],
  ['the watchdog', 'bootstatus', '32\n', { how: 'watchdog' }],
  [
    'what left no trace',
    'pstore/console-ramoops-0',
    'Kernel panic - not syncing: of the boot before\n',
    { how: 'unknown' },
  ],
])('tells %s', async (_, file, text, expected) => {
  put('pstore/dmesg-ramoops-0', 'Kernel panic - not syncing: years ago');
  put('bootstatus', '0\n');
  const earlier = await earlierTraces(traces());
  put(file, text);
  expect(await howItEnded(traces(), earlier, banner)).toEqual(expected);
});

it('reports nothing if the config names no traces, and blames no record that it can’t date', async () => {
  put('pstore/dmesg-ramoops-0', 'Kernel panic - not syncing: years ago');
  expect(await howItEnded(undefined, {}, banner)).toBeUndefined();
  expect(await howItEnded(traces(), {}, banner)).toEqual({ how: 'unknown' });
});

it('blames no watchdog that had reported a reset before', async () => {
  put('bootstatus', '32\n');
  expect(await howItEnded(traces(), await earlierTraces(traces()), banner)).toEqual({ how: 'unknown' });
  expect(await howItEnded(traces(), { records: [] }, banner)).toEqual({ how: 'unknown' });
});

const header = 'Iface\tDestination\tGateway\n';
const link = `fe800000000000000000000000000000 40 ${'0'.repeat(32)} 00 ${'0'.repeat(32)} 00000100 1 0 1 eth0\n`;
it.each([
  ['only lo', {}, header, 'no interface but lo'],
  ['no carrier', { eth0: 'down', wlan0: 'dormant' }, header, 'eth0 is down, wlan0 is dormant'],
  ['no route', { eth0: 'up' }, `${header}${link}`, 'eth0 has no address and no route'],
  ['a route', { eth0: 'up' }, `${header}eth0\t00000000\t0202000A\n`, undefined],
  ['an IPv6 route alone', { eth0: 'unknown' }, link.replace('fe80', '2001'), undefined],
])('a network with %s', async (_, interfaces, routes, expected) => {
  put('net/lo/operstate', 'unknown\n');
  for (const [name, state] of Object.entries(interfaces)) put(`net/${name}/operstate`, `${state}\n`);
  put('route', routes);
  const paths = { interfacesFolder: at('net'), routeFiles: [at('route')] };
  expect(await networkFault(paths)).toBe(expected);
  expect(await networkFault({ ...paths, interfacesFolder: at('none') })).toBeUndefined();
});
