import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createRun } from '../../host/run.ts';
import { missingPrograms } from '../programs.ts';
import { bootedKernel } from '../sandbox/power.ts';
import { boardFiles, extlinuxConf, maskedUnits } from './board-files.ts';
import { flash, fwEnvConfig } from './boot-environment.ts';
import { makeDiskImage } from './disk-image.ts';
import { makeFlashImage } from './flash-image.ts';

const scratch = mkdtempSync(join(tmpdir(), 'ka-lab-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const run = createRun(() => undefined);
const lacks = (...names: string[]) => missingPrograms(['lab']).some(({ program }) => names.includes(program));

test.skipIf(lacks('mkenvimage'))(
  'fw_printenv reads the boot command from a new flash, and fw_setenv asks for a trial without touching it',
  async () => {
    const image = join(scratch, 'flash.img');
    await makeFlashImage(run, image);
    expect(statSync(image).size).toBe(flash.sizeBytes);
    const config = (name: string, text: string) => {
      writeFileSync(join(scratch, name), text);
      return ['-c', join(scratch, name)];
    };
    const own = config('own.config', `${image} 0x0 0x${flash.environmentBytes.toString(16)}\n`);
    const bootCommand = async () =>
      (await run(['fw_printenv', ...own, '-n', 'bootcmd'], { quiet: true })).stdout;
    const before = await bootCommand();
    expect(before).toMatch(/^run ka_ramoops; .*if erase 4040000 \+40000; then .*sysboot virtio 0:1 any/);

    const [, offset = '', size = ''] = fwEnvConfig.split(' ');
    const trialOffset = Number(offset) - flash.bankAddress;
    const trial = config('trial.config', `${image} 0x${trialOffset.toString(16)} ${size}\n`);
    const initial = join(scratch, 'initial');
    writeFileSync(initial, '');
    await run(['fw_setenv', ...trial, '-f', initial, 'ka_trial', 'fourier']);
    const { stdout } = await run(['fw_printenv', ...trial, '-n', 'ka_trial'], { quiet: true });
    expect(stdout.trim()).toBe('fourier');
    expect(await bootCommand()).toBe(before);
  },
);

test.skipIf(lacks('sfdisk', 'mkfs.ext4'))(
  'a disk has one partition, marked as bootable, with the files of the folder on it',
  async () => {
    const [folder, file] = [mkdtempSync(join(scratch, 'root-')), join(scratch, 'disk.img')];
    writeFileSync(join(folder, 'hello'), 'from the board\n');
    await makeDiskImage(run, { folder, file, sizeBytes: 16 * 1024 * 1024 });
    const { stdout } = await run(['sfdisk', '--json', file], { quiet: true });
    const { partitiontable } = JSON.parse(stdout);
    expect(partitiontable).toMatchObject({
      label: 'gpt',
      partitions: [{ start: 2048, size: 28_672, attrs: 'LegacyBIOSBootable' }],
    });
    const cat = await run(['debugfs', '-R', 'cat /hello', `${file}?offset=${2048 * 512}`], { quiet: true });
    expect(cat.stdout).toBe('from the board\n');
  },
);

const files = boardFiles({
  administratorKey: 'ssh-ed25519 AAAA',
  hostKey: { secret: 'secret\n', public: 'ssh-ed25519 BBBB' },
  machineId: '0'.repeat(32),
});

test('the boot loader finds the kernel that pacman installs, and each file occurs once', () => {
  expect(bootedKernel(extlinuxConf)).toBe('/boot/Image-fresnel-fourier');
  expect(new Set(files.map(({ path }) => path)).size).toBe(files.length);
  expect(new Set(maskedUnits).size).toBe(maskedUnits.length);
});

test("only root may read the board's secret key, and sh accepts the program for its initramfs", async () => {
  expect(files.find(({ text }) => text === 'secret\n')?.mode).toBe(0o600);
  const script = join(scratch, 'initramfs');
  writeFileSync(script, files.find(({ mode }) => mode === 0o755)?.text ?? 'if');
  await run(['sh', '-n', script]);
  expect(readFileSync(script, 'utf8')).toMatch(/^#!\/bin\/sh\n/);
});
