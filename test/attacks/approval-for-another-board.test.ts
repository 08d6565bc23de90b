import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { install } from '../../agents/board/install.ts';
import { exampleProvenance } from '../../coordinator/testing/example-attestation.ts';
import { exampleSigningKey } from '../../coordinator/testing/example-plan.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import { sha256 } from '../../schemas/hash.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import { runStep } from '../run-step.ts';
import { attack } from './attack.ts';

attack('approval-for-another-board', 'a board installs nothing that was approved for another', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ka-attack-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const hash = sha256('package');
  const package_ = { name: 'linux', file: 'linux-7.0-2-aarch64.pkg.tar.zst', sizeBytes: 7, sha256: hash };
  const request: StepRequest<'install'> = {
    packages: [{ ...package_, signatureSha256: hash }],
    fingerprint: exampleSigningKey,
    from: '7.0-1',
    to: '7.0-2',
    release: '7.0.0',
    backup: {
      host: 'hertz',
      place: 'ohm/7.0-1',
      archive: { file: 'boot.tar.zst', sizeBytes: 1, sha256: hash },
      version: '7.0-1',
      release: '7.0.0',
      files: [{ path: '/boot/Image', sizeBytes: 1, sha256: hash }],
      packages: [package_],
    },
    // It is good in every way: a pinned builder has built it, and a person has approved it, for fresnel.
    provenance: exampleProvenance([package_]),
  };
  const ohm = { host: 'ohm' } as BoardConfig; // it gets no further than to its name
  await expect(runStep('install', install, request, ohm, { folder })).rejects.toMatchObject({
    fault: 'work',
    message: expect.stringContaining('was reviewed and built for fresnel, and this is ohm'),
  });
});
