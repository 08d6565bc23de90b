import { parse, stringify } from 'yaml';
import { trustIn } from '../../eventlog/signing/trust.ts';
import { coordinator, personWriter } from '../../schemas/events.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { Plan, patchOf, planHash } from '../../schemas/plan.ts';
import { operatorRightNames } from '../../schemas/roles.ts';
import type { LoadedPlan } from '../plan/plan-file.ts';
import { testKey } from './test-key.ts';

const diff = (path: string, added: string) =>
  `--- a/${path}\n+++ b/${path}\n@@ -1,2 +1,3 @@\n first\n+${added}\n last\n`;

/** The patch files of the example plan, by name. */
export const examplePatches: Readonly<Record<string, string>> = {
  '0001-helper.patch': `Subject: helper\n\n${diff('drivers/media/vb2.c', 'int attach_fence(void);')}`,
  '0002-rkvdec.patch': `Subject: rkvdec\n\n${diff('drivers/media/rkvdec.c', 'attach_fence();')}`,
};

/** A small plan with every check in it. */
export const examplePlanYaml = `iteration: iter5
title: Release fences for the codecs
board: fresnel
hosts:
  builders: [boltzmann, fermi]
  publisher: hertz
  backup: hertz
baseline:
  repository: linux
  tag: v7.0
  commit: 028ef9c96e96197026887c0f092424679298aae8
series:
  scope: subsystem/media/fence
  folder: patches
  patches:
    - 0001-helper.patch
    - 0002-rkvdec.patch
symbols: [dma_fence_init]
manifest:
  repository: manifest
  branch: main
  file: fleet/fresnel.yaml
package:
  repository: packages
  branch: main
  folder: arch/linux-fourier
  base: linux-fourier
  names: [linux-fourier, linux-fourier-headers]
  from: 7.0-1
  to: 7.0-2
  release: 7.0.0-fourier
review:
  approvals: [mfritsche, architect]
sweep:
  paths:
    - { name: libva, device: true }
    - { name: kernel-direct, device: true }
    - { name: software, device: false }
  rows:
    - name: h264
      fixture: clip.mp4
      expect: [libva = kernel-direct, libva = software]
    - name: mpeg2
      fixture: clip.ts
      expect: [libva = kernel-direct, libva != software]
      because: The hardware rounds in its own way.
  repeats: 2
clauses:
  - id: C1
    says: The helper applies.
    proof:
      - check: patch-applies
        patch: 0001-helper.patch
        adds: { drivers/media/vb2.c: 1 }
        defines: [attach_fence]
  - id: C2
    says: rkvdec uses it.
    proof:
      - { check: patch-applies, patch: 0002-rkvdec.patch, uses: [attach_fence], author: A <a@example.org> }
  - id: C3
    says: Every symbol is there.
    proof: [{ check: symbols-found }, { check: release-predicted }]
  - id: C4
    says: The patches are kept under their scope.
    proof: [{ check: patches-landed }, { check: patch-landed, patch: 0001-helper.patch }]
  - id: C5
    says: The manifest includes them.
    proof: [{ check: manifest-includes }]
  - id: C6
    says: The package is bumped.
    proof: [{ check: package-bumped }]
  - id: C7
    says: It is built from what landed.
    proof: [{ check: packages-built }]
  - id: C8
    says: It is signed and mirrored.
    proof: [{ check: packages-signed }, { check: mirrored }]
  - id: C9
    says: There is a way back.
    proof: [{ check: backup-held }]
  - id: C10
    says: The board runs it.
    proof: [{ check: staged }, { check: package-installed }, { check: kernel-running }]
  - id: C11
    says: The codecs agree.
    proof: [{ check: sweep-as-expected }, { check: no-regression }]
  - id: C12
    says: It is reviewed and recorded.
    proof: [{ check: approved, by: [architect] }, { check: recorded }]
risks:
  - id: builder-offline
    risk: boltzmann is offline
    probability: medium
    impact: low
    answer: fermi builds
    seen: builder-replaced
  - id: cache
    risk: The caches are at fault
    probability: low-medium
    impact: high
    answer: go back
    seen: sweep-failed
expected:
  build: 45m
close:
  repository: campaign
  branch: main
  document: phase8_close.md
  scoreboard: { file: scoreboard.md, before: 4 direct, after: 5 direct }
  notes:
    - { file: note.md, text: The blocker is gone. }
goBack: phase 0
`;

/** The example plan, ready to start, with an optional change. */
export const examplePlan = (change: (plan: Plan) => void = () => undefined): LoadedPlan => {
  const plan = Plan.parse(parse(examplePlanYaml));
  change(plan);
  const series = (plan.series.patches ?? []).map((file) =>
    patchOf(file, Buffer.from(examplePatches[file] ?? '')),
  );
  const planText = stringify(plan);
  return { plan, planText, series, planSha256: planHash(planText, series) };
};

export const exampleSigningKey = '92D5E96D8F63C75E4116AA1FF5C8C4603D0D250C';

/** Each writer has a key of its own. */
const pinned = (writer: string) => ({ publicKey: testKey(writer).publicKey });

/** The fleet of the example plan. */
export const exampleFleet = Fleet.parse({
  fleet: 'reauktion',
  signingKey: exampleSigningKey,
  admin: pinned('admin'),
  coordinator: pinned(coordinator),
  operators: Object.fromEntries(
    ['mfritsche', 'architect'].map((name) => [
      name,
      { ...pinned(personWriter(name)), may: operatorRightNames },
    ]),
  ),
  hosts: {
    boltzmann: { role: 'builder', ...pinned('boltzmann'), graceSeconds: 60 },
    fermi: { role: 'builder', ...pinned('fermi') },
    hertz: { role: 'publisher', ...pinned('hertz') },
    fresnel: { role: 'board', ...pinned('fresnel') },
    ohm: { role: 'board', ...pinned('ohm') },
  },
});

/** The writers that this fleet trusts. */
export const exampleTrust = trustIn(exampleFleet);
