import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BoardConfig } from '../../schemas/config.ts';
import { runStep } from '../../test/run-step.ts';
import type { Step } from '../runtime/step.ts';
import { bannerRelease, imageBanner, rebootBoard, rebootOutcome } from './boot.ts';

const banner = 'Linux version 7.0.0-fourier (builder@boltzmann) (gcc 12.2) #2 SMP';
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'boot-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('the banner of a boot image', () => {
  const bannerIn = (image: Buffer) => {
    writeFileSync(join(folder, 'Image'), image);
    return imageBanner(join(folder, 'Image'));
  };
  const image = (before: number, end = '\n\0') =>
    Buffer.concat([
      Buffer.alloc(before, 'Linux version %s\0'),
      Buffer.from(`\0${banner}${end}`),
      Buffer.alloc(200_000, 7),
    ]);

  it.each([0, 64 * 1024 - 30, 64 * 1024 - 2, 128 * 1024 - 70, 300_000])(
    'is found after %i bytes, also where a read ends in it',
    async (before) => expect(await bannerIn(image(before))).toBe(banner),
  );

  it('ends with a NUL too, and is found in a gzipped image', async () => {
    expect(await bannerIn(image(10, '\0'))).toBe(banner);
    expect(await bannerIn(gzipSync(image(70_000)))).toBe(banner);
    expect(bannerRelease(banner)).toBe('7.0.0-fourier');
  });

  it("is missing in a file that is not a kernel, and that is the host's fault", async () => {
    await expect(bannerIn(Buffer.alloc(100_000))).rejects.toMatchObject({ fault: 'host' });
    await expect(bannerIn(gzipSync(image(70_000)).subarray(0, 40))).rejects.toMatchObject({ fault: 'host' });
    await expect(imageBanner(join(folder, 'none'))).rejects.toMatchObject({ fault: 'host' });
  });
});

describe('what came back after a reboot', () => {
  const after = { bootId: 'b', release: '7.0.0-fourier', procVersion: banner };
  it.each([
    ['the new kernel', after, ['b'], 'new-kernel'],
    [
      'the old one, whose release is the same',
      { ...after, procVersion: banner.replace('#2', '#1') },
      ['b'],
      'fell-back',
    ],
    ['another release', { ...after, release: '6.9' }, ['b'], 'fell-back'],
    ['the new kernel, the second time', after, ['a2', 'b'], 'rebooted-twice'],
    ['a boot that the journal has not seen yet', after, [], 'new-kernel'],
  ] as const)('is %s', (_, after, boots, outcome) =>
    expect(rebootOutcome({ after, imageBanner: banner, boots }, '7.0.0-fourier')).toBe(outcome),
  );
});

it('is given up after three reboots that did not happen', async () => {
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const host = {
    host: 'fresnel',
    root: folder,
    bootIdFile: file('boot-id', 'a\n'),
    releaseFile: file('release', '7.0.0-fourier\n'),
    procVersionFile: file('proc-version', `${banner}\n`),
    boot: { image: file('Image', `${banner}\n`), rebootCommand: ['tee', '-a', join(folder, 'asked')] },
  } as unknown as BoardConfig;
  const step: Step<'reboot', BoardConfig> = (request, context) =>
    rebootBoard(context, { release: request.release, installedVersion: request.version }, 10);
  const archive = { file: 'boot.tar', sizeBytes: 1, sha256: '0'.repeat(64) };
  const held = { host: 'hertz', place: 'fresnel/7.0-1', archive, version: '7.0-1', release: '7.0.0-fourier' };
  const backup = {
    ...held,
    files: [{ path: '/boot/Image', sizeBytes: 1, sha256: '0'.repeat(64) }],
    packages: [{ name: 'linux', ...archive, file: 'linux.pkg.tar' }],
  };
  const request = { names: ['linux'], version: '7.0-2', release: '7.0.0-fourier', backup };
  const attempt = () => runStep('reboot', step, request, host, { folder });
  for (let tries = 0; tries < 3; tries++) await expect(attempt()).rejects.toThrow(/never rebooted/);
  await expect(attempt()).rejects.toMatchObject({ name: 'StepFailed', fault: 'host' });
  expect(readFileSync(join(folder, 'work/reboot.iter5.1/reboot-tries'), 'utf8')).toBe('3');
});
