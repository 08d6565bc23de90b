import { expect, it } from 'vitest';
import { StepFailed } from '../errors.ts';
import { parseMtree, scriptletIn } from './mtree.ts';
import { refuseUnexpectedContents } from './package-contents.ts';

const head = '#mtree\n/set type=file uid=0 gid=0 mode=644 size=1\n';
const contents = (lines: readonly string[]) => {
  const text = `${head}${lines.map((line) => `./${line}\n`).join('')}`;
  return { entries: parseMtree(text), scriptlet: scriptletIn(text) };
};
const kernel = [
  'boot type=dir mode=755',
  'boot/Image',
  'etc type=dir mode=755',
  'etc/mkinitcpio.d type=dir mode=755',
  'etc/mkinitcpio.d/linux-fourier.preset',
  'usr type=dir mode=755',
  'usr/lib type=dir mode=755',
  'usr/lib/modules type=dir mode=755',
  'usr/lib/modules/7.0.0/kernel/rkvdec.ko',
  'usr/lib/modules/7.0.0/build type=link link=../../src',
  'usr/bin/turbostat mode=755',
];
const installScript = '.INSTALL sha256digest=aa';
const before = contents([...kernel, installScript]);
const named = { file: 'linux-fourier-7.0-2-aarch64.pkg.tar.zst', name: 'linux-fourier', version: '7.0-2' };
const rest = { installedBytes: 0, backup: new Set<string>() };

const refusal = (
  lines: readonly string[],
  { allows = [], was = before }: { allows?: { path: string }[]; was?: typeof before | null } = {},
): string => {
  try {
    refuseUnexpectedContents({ ...named, ...rest, ...contents(lines) }, was ?? undefined, {
      base: 'linux',
      allows,
    });
  } catch (error) {
    if (error instanceof StepFailed && error.fault === 'work') return error.message;
    throw error;
  }
  return 'accepted';
};

it('takes a kernel: what the package before had, and what is new in the places of every kernel', () => {
  expect(refusal([...kernel, installScript])).toBe('accepted');
  expect(refusal(kernel)).toBe('accepted');
  const own = [
    'boot/dtbs/board.dtb',
    'usr/lib/modules/7.0.1/kernel/new.ko',
    'usr/share type=dir mode=755',
    'usr/share/licenses type=dir mode=755',
    'usr/share/licenses/linux-fourier/COPYING',
    'usr/share/licenses/linux type=dir mode=755',
    'usr/share/doc/linux/README',
    'usr/lib/modules-load.d type=dir mode=755',
    'usr/lib/modules-load.d/linux-fourier.conf',
  ];
  expect(refusal([...kernel, ...own])).toBe('accepted');
});

it.each([
  ['a file elsewhere', 'etc/cron.d/x', '/etc/cron.d/x (file 644 0:0)'],
  ['a folder elsewhere', 'opt type=dir mode=755', '/opt (dir 755 0:0)'],
  ['a name that only begins like a place', 'bootx/Image', '/bootx/Image'],
  ['the licences of another package', 'usr/share/licenses/openssh/x', '/usr/share/licenses/openssh/x'],
  [
    'another configuration of modules',
    'usr/lib/modules-load.d/other.conf',
    '/usr/lib/modules-load.d/other.conf',
  ],
  ['a set-id bit where kernels are', 'boot/su mode=4755', '/boot/su (file 4755 0:0)'],
  [
    'what everybody may write',
    'usr/lib/modules/7.0.0/x.ko mode=666',
    '/usr/lib/modules/7.0.0/x.ko (file 666 0:0)',
  ],
  [
    'an owner beside root',
    'usr/lib/modules/7.0.0/x.ko uid=1000',
    '/usr/lib/modules/7.0.0/x.ko (file 644 1000:0)',
  ],
  ['an owner that is root by number alone', 'boot/x uid=0 uname=lars', '/boot/x (file 644 lars(0):0)'],
  ['a folder of the way there for everybody', 'usr/share type=dir mode=777', '/usr/share (dir 777 0:0)'],
  [
    'a file below one of its links',
    'usr/lib/modules/7.0.0/build/x',
    '(below the link /usr/lib/modules/7.0.0/build)',
  ],
  ['another mode of an old file', 'usr/bin/turbostat mode=4755', '(file 4755 0:0; before: file 755 0:0)'],
  ['a link in the place of an old file', 'usr/bin/turbostat type=link link=sh', 'before: file 755 0:0'],
  ['another scriptlet', '.INSTALL sha256digest=bb', '/.INSTALL (another scriptlet)'],
  ['a second scriptlet', '.INSTALL sha256=bb', '/.INSTALL (another scriptlet)'],
])('refuses %s, and names it', (_what, line, named) => {
  expect(refusal([...kernel, installScript, line])).toContain(named);
});

it('refuses what is beside a kernel where there is no package before, a scriptlet too', () => {
  const found = refusal([...kernel, installScript], { was: null });
  for (const one of [
    '/etc (dir',
    '/etc/mkinitcpio.d/linux-fourier.preset',
    '/usr/bin/turbostat',
    '/.INSTALL',
  ])
    expect(found).toContain(one);
  expect(found).not.toContain('/boot');
});

it('takes what the plan allows: a path, a folder with all below it, the scriptlet', () => {
  const more = ['etc/cron.d type=dir mode=755', 'etc/cron.d/x', 'usr/src/linux/a/b.h', '.INSTALL sha256=bb'];
  const all = ['/etc/cron.d/x', '/usr/src/linux/', '/.INSTALL'].map((path) => ({ path }));
  expect(refusal([...kernel, ...more], { allows: all })).toBe('accepted');
  expect(refusal([...kernel, ...more], { allows: all.slice(1) })).toContain('/etc/cron.d/x');
  expect(refusal([...kernel, ...more], { allows: all.slice(0, 2) })).toContain('/.INSTALL');
  expect(refusal([...kernel, 'usr/src/linuxx/a'], { allows: all })).toContain('/usr/src/linuxx/a');
});
