import { attestationHash } from '../../schemas/attestation.ts';
import { sha256 } from '../../schemas/hash.ts';
import { installedBefore } from '../../schemas/plan.ts';
import type { StepName } from '../../schemas/step-names.ts';
import type { StepEvidence } from '../../schemas/steps.ts';
import type { Iteration } from '../decider/state.ts';
import { attestedBy, exampleAbout, exampleBuild, exampleSweep, objectId } from './example-attestation.ts';
import { exampleSigningKey } from './example-plan.ts';

const procVersion = (version: string) => `Linux version 7.0.0-fourier (gcc) #1 of ${version}`;

const bump = ({ plan }: Iteration) => ({
  from: plan.package.from,
  to: plan.package.to,
  changes: [{ section: plan.package.base, key: 'pkgrel', before: ['1'], after: ['2'] }],
});

/** The release that the example plan states. */
const release = ({ plan }: Pick<Iteration, 'plan'>): string => plan.package.release ?? '';

const packages = ({ plan }: Iteration, version: string) =>
  plan.package.names.map((name) => {
    const file = `${name}-${version}-aarch64.pkg.tar.zst`;
    return { name, file, sizeBytes: 1000, sha256: sha256(file), signatureSha256: sha256(`${file}.sig`) };
  });

/** The commit that land makes in the package's repository. */
const landed = ({ plan }: Iteration) => objectId(`${plan.package.repository} after`);

const buildAttestation = (iteration: Iteration) =>
  attestedBy(
    'boltzmann',
    exampleBuild(packages(iteration, iteration.plan.package.to), {
      iteration: iteration.name,
      planSha256: iteration.planSha256,
      board: iteration.plan.board,
      trees: exampleAbout.trees,
      patchset: sha256('patchset'),
      commit: landed(iteration),
      version: iteration.plan.package.to,
    }),
  );
/** The link to the build's attestation. */
const link = (iteration: Iteration) => ({ attestation: attestationHash(buildAttestation(iteration)) });

const installed = ({ plan }: Iteration, version: string) => ({
  version,
  packages: plan.package.names.map((name) => ({ name, version, filesChecked: 12, filesAltered: [] })),
  image: { path: '/boot/Image', sizeBytes: 9, sha256: sha256(`image ${version}`) },
  initramfs: { path: '/boot/initramfs.img', sizeBytes: 9, sha256: sha256(`initramfs ${version}`) },
});

const rebooted = ({ plan }: Iteration, from: string, to: string) => ({
  before: { bootId: `boot of ${from}`, release: release({ plan }), procVersion: procVersion(from) },
  after: { bootId: `boot of ${to}`, release: release({ plan }), procVersion: procVersion(to) },
  imageBanner: procVersion(to),
  package: to,
  outcome: 'new-kernel' as const,
  secondsDown: 30,
});

const backup = ({ plan }: Iteration) => ({
  host: plan.hosts.backup,
  place: `${plan.board}/${installedBefore(plan)}`,
  archive: { file: 'boot.tar.zst', sizeBytes: 9, sha256: sha256('archive') },
  version: installedBefore(plan),
  release: release({ plan }),
  files: [{ path: '/boot/Image', sizeBytes: 9, sha256: sha256('image') }],
  packages: plan.package.names.map((name) => {
    const file = `${name}-${installedBefore(plan)}-aarch64.pkg.tar.zst`;
    return { name, file, sizeBytes: 1000, sha256: sha256(file) };
  }),
});

/** A sweep in which libva has another hash in the rows named in `broken`. */
export const sweptWith = (
  iteration: Iteration,
  version: string,
  broken: readonly string[] = [],
): StepEvidence<'sweep'> => ({
  ...tableWith(iteration, version, broken),
  attestation: attestedBy(iteration.plan.board, exampleSweep(packages(iteration, version))),
});

const tableWith = ({ plan }: Iteration, version: string, broken: readonly string[]) => ({
  release: release({ plan }),
  procVersion: procVersion(version),
  version,
  fixtures: [],
  table: plan.sweep.rows.flatMap(({ name: row, because }) =>
    plan.sweep.paths.map(({ name: path, device }) => {
      const alone = (path === 'libva' && broken.includes(row)) || (path === 'software' && because);
      const hash = sha256(alone ? `${row} ${path}` : row);
      const hashes = Array.from({ length: plan.sweep.repeats }, () => hash);
      return {
        row,
        path,
        status: 'ok' as const,
        sha256: hash,
        hashes,
        device: device ? '/dev/video1' : null,
        frames: 5,
      };
    }),
  ),
});

const good: { readonly [Name in StepName]: (iteration: Iteration) => StepEvidence<Name> } = {
  preflight: ({ plan, series, ...rest }) => ({
    baseline: { tag: plan.baseline.tag, commit: plan.baseline.commit },
    tree: objectId('tree'),
    packagingTree: objectId('packaging'),
    packaging: { since: null, diff: '+pkgrel=2\n', sizeBytes: 10 },
    prepared: {
      tree: objectId('prepared'),
      config: objectId('config'),
      epochSeconds: 1_700_000_000,
      excluded: ['.git/**'],
      files: 2,
      beside: { folder: 'linux-7.0', count: 1, files: [{ status: 'M', path: 'Makefile' }] },
    },
    patchset: sha256('patchset'),
    patches: series.map(({ file, sha256: hash }, index) => ({
      file,
      sha256: hash,
      author: 'A <a@example.org>',
      subject: file,
      status: 'applied',
      files: [{ path: `drivers/media/${index === 0 ? 'vb2' : 'rkvdec'}.c`, added: 1, removed: 0 }],
      defines: index === 0 ? ['attach_fence'] : [],
      uses: index === 0 ? ['dma_fence_init'] : ['attach_fence'],
      conflicts: [],
    })),
    symbols: plan.symbols.map((symbol) => ({
      symbol,
      listed: true,
      usedBy: [],
      hits: 6,
      definedIn: 'include/linux/dma-fence.h:1',
      exported: true,
      status: 'found',
    })),
    bump: bump({ plan, series, ...rest }),
    release: { predicted: release({ plan }), namesPkgrel: false },
    expectedFiles: ['a.pkg.tar.zst'],
  }),
  keycheck: () => ({ fingerprint: exampleSigningKey, expires: null }),
  land: (iteration) => {
    const { plan, series } = iteration;
    const commit = (repository: string, files: { path: string; sha256: string }[]) => ({
      repository,
      branch: 'main',
      parent: objectId(`${repository} before`),
      commit: objectId(`${repository} after`),
      files,
    });
    const scoped = series.map(({ file, sha256: hash }) => ({
      path: `patches/${plan.series.scope}/${file}`,
      sha256: hash,
    }));
    const before = ['board/pinebook-pro/0001-opp.patch'];
    return {
      commits: [
        commit(plan.manifest.repository, [...scoped, { path: plan.manifest.file, sha256: sha256('yaml') }]),
        commit(plan.package.repository, [
          { path: `${plan.package.folder}/PKGBUILD`, sha256: sha256('PKGBUILD') },
        ]),
      ],
      includes: {
        before,
        after: [...before, ...series.map(({ file }) => `${plan.series.scope}/${file}`)],
      },
      bump: bump(iteration),
    };
  },
  build: (iteration) => ({
    commit: landed(iteration),
    packages: packages(iteration, iteration.plan.package.to).map(
      ({ signatureSha256: _signature, ...file }) => file,
    ),
    buildinfo: { pkgver: [iteration.plan.package.to] },
    sources: { files: 100, changed: 4, removed: 0 },
    seconds: 1900,
    output: { lines: 5, sha256: sha256('output') },
    attestation: buildAttestation(iteration),
  }),
  publish: (iteration) => ({
    repository: 'fourier',
    view: 'view-2',
    fingerprint: exampleSigningKey,
    packages: packages(iteration, iteration.plan.package.to),
    database: { file: 'fourier.db.tar.gz', sha256: sha256('db'), signatureSha256: sha256('db.sig') },
    mirror: { url: 'http://mirror.example.org', databaseSha256: sha256('db'), filesMatched: 2 },
  }),
  presweep: (iteration) => tableWith(iteration, installedBefore(iteration.plan), ['h264']),
  backup,
  stage: (iteration) => ({
    fingerprint: exampleSigningKey,
    packages: packages(iteration, iteration.plan.package.to).map((file) => ({
      ...file,
      transfers: [{ path: 'repository', bytes: 1000, seconds: 1, complete: true }],
    })),
  }),
  install: (iteration) => ({
    ...installed(iteration, iteration.plan.package.to),
    ...link(iteration),
  }),
  reboot: (iteration) => ({
    ...rebooted(iteration, installedBefore(iteration.plan), iteration.plan.package.to),
    ...link(iteration),
  }),
  sweep: (iteration) => sweptWith(iteration, iteration.plan.package.to),
  confirm: (iteration) => ({
    version: iteration.plan.package.to,
    boot: rebooted(iteration, '', iteration.plan.package.to).after,
    deadline: 'disarmed',
  }),
  rollback: (iteration) => {
    const { to } = iteration.plan.package;
    const before = installedBefore(iteration.plan);
    return { installed: installed(iteration, before), rebooted: rebooted(iteration, to, before) };
  },
  record: ({ plan }) => ({
    commit: {
      repository: plan.close.repository,
      branch: plan.close.branch,
      parent: objectId('campaign before'),
      commit: objectId('campaign after'),
      files: [
        plan.close.document,
        plan.close.scoreboard.file,
        ...plan.close.notes.flatMap((note) => (note.kind === 'write' ? [note.file] : [])),
      ].map((path) => ({ path, sha256: sha256(path) })),
    },
  }),
};

/** A step's evidence if everything is well. */
export const goodEvidence = <Name extends StepName>(iteration: Iteration, step: Name): StepEvidence<Name> =>
  good[step](iteration);

const bad: { readonly [Name in StepName]: (iteration: Iteration) => StepEvidence<Name> } = {
  preflight: (iteration) => ({
    ...good.preflight(iteration),
    release: { predicted: '7.0.0-other', namesPkgrel: true },
  }),
  keycheck: () => ({ fingerprint: '0'.repeat(40), expires: null }),
  land: (iteration) => ({ ...good.land(iteration), includes: { before: ['kept.patch'], after: [] } }),
  build: (iteration) => ({ ...good.build(iteration), buildinfo: { pkgver: ['7.0-9'] } }),
  publish: (iteration) => ({ ...good.publish(iteration), fingerprint: '0'.repeat(40) }),
  presweep: (iteration) => ({
    ...good.presweep(iteration),
    table: good.presweep(iteration).table.slice(0, 1),
  }),
  backup: (iteration) => ({ ...backup(iteration), version: '6.9-1' }),
  stage: (iteration) => ({ ...good.stage(iteration), fingerprint: '0'.repeat(40) }),
  install: (iteration) => installed(iteration, iteration.plan.package.from),
  reboot: (iteration) => ({
    ...good.reboot(iteration),
    after: { bootId: 'boot again', release: '6.9.0', procVersion: 'Linux version 6.9.0 (gcc)' },
    outcome: 'fell-back',
  }),
  sweep: (iteration) => sweptWith(iteration, iteration.plan.package.to, ['h264']),
  confirm: (iteration) => ({ ...good.confirm(iteration), version: iteration.plan.package.from }),
  rollback: (iteration) => ({
    ...good.rollback(iteration),
    installed: installed(iteration, iteration.plan.package.to),
  }),
  record: (iteration) => {
    const { commit } = good.record(iteration);
    return { commit: { ...commit, files: commit.files.slice(0, 1) } };
  },
};

/** The evidence of a step that succeeded with another result than the plan expects. A presweep's is only poorer. */
export const badEvidence = <Name extends StepName>(iteration: Iteration, step: Name): StepEvidence<Name> =>
  bad[step](iteration);
