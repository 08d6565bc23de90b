import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createRun } from '../../host/run.ts';
import { folderKey } from '../cache/cache.ts';
import { checkout } from '../checkout.ts';
import type { Making, SandboxExample } from './example.ts';
import { archiveTag, makeBareRepository } from './git-repository.ts';

const folder = join(checkout, 'examples/iteration-5');
const quiet = createRun(() => undefined);

/** This machine's CARCH: the example's kernel is a program for it. */
const nativeCarch = (): SandboxExample['carch'] => (process.arch === 'arm64' ? 'aarch64' : 'x86_64');

/** The repositories besides the kernel's, each with the folder of its initial content. */
const contents = { 'kernel-agent': 'manifest', 'marfrit-packages': 'package', campaign: 'campaign' } as const;

const makeKernel = (repository: string) =>
  makeBareRepository(quiet, repository, join(folder, 'kernel'), {
    author: 'Kernel Example',
    email: 'kernel@example.org',
    date: '2026-04-12T00:00:00Z',
    message: 'Linux 7.0',
    tag: 'v7.0',
  });

const archiveKernel = (repository: string, sources: string) =>
  archiveTag(quiet, repository, 'v7.0', 'linux-7.0', join(sources, 'linux-7.0.tar'));

/** Iteration 5 on a small source tree that stands in for the kernel. */
export const exampleIteration5: SandboxExample = {
  name: 'iteration-5',
  repositories: ['kernel', ...Object.keys(contents)],
  makeRepositories: async ({ places }: Making) => {
    await mkdir(places.git, { recursive: true });
    await makeKernel(places.repository('kernel'));
    for (const [name, content] of Object.entries(contents))
      await makeBareRepository(quiet, places.repository(name), join(folder, content), {
        author: 'Markus Fritsche',
        email: 'mfritsche@example.org',
        date: '2026-05-01T00:00:00Z',
        message: `${name}: as of linux-fresnel-fourier 7.0-1`,
      });
  },
  makeSources: ({ places }, sources) => archiveKernel(places.repository('kernel'), sources),
  carch: nativeCarch(),
  makepkgEnvironment: { MAKEFLAGS: '-j2' },
  package: {
    repository: 'marfrit-packages',
    folder: 'arch/linux-fresnel-fourier',
    names: ['linux-fresnel-fourier', 'linux-fresnel-fourier-headers'],
  },
  // The kernel is compiled by the machine's own gcc, against its own libc.
  baselineKey: async () =>
    `${await folderKey(join(folder, 'kernel'))}\n${(await quiet(['gcc', '--version'])).stdout}`,
  packageFolder: () => join(folder, 'package/arch/linux-fresnel-fourier'),
  board: {
    bootFolder: join(folder, 'boot'),
    sweepCommand: ({ board }) => [board.runningImage, 'decode'],
    fixturesFolder: join(folder, 'clips'),
  },
  planFiles: () => [join(folder, 'plan.yaml')],
};
