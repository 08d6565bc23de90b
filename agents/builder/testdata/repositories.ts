import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { cacheKey } from '../../../deploy/cache/cache.ts';
import { createRun } from '../../../host/run.ts';
import { type Patch, patchOf } from '../../../schemas/plan.ts';
import type { StepRequest } from '../../../schemas/steps.ts';
import { madeOnce } from '../../../test/made-once.ts';
import { patchsetHash, readSeries } from '../series/series.ts';
import { builderConfig } from './builder-config.ts';

const run = createRun(() => undefined);

const author = { GIT_AUTHOR_NAME: 'Markus', GIT_AUTHOR_EMAIL: 'markus@example.org' };
const env = {
  ...author,
  GIT_COMMITTER_NAME: 'Markus',
  GIT_COMMITTER_EMAIL: 'markus@example.org',
  GIT_CONFIG_GLOBAL: '/dev/null',
  HOME: '/nonexistent',
};

/** Without template files such as hooks: each repository is copied for each test. */
const settings = ['-c', 'init.defaultBranch=main', '-c', 'init.templateDir='];

/** Git as the people of a test use it, in a folder. */
export const gitIn = async (folder: string, ...args: string[]): Promise<string> =>
  (await run(['git', ...settings, ...args], { cwd: folder, env })).stdout.trim();

export type Files = Record<string, string>;

const kernel: Files = {
  Makefile: 'VERSION = 7\nPATCHLEVEL = 0\nSUBLEVEL = 0\nEXTRAVERSION =\n',
  'include/media/vb2.h': `#define VB2_MAX 32
struct vb2_buffer {
	int state;
};

/* vb2_old_name() went away; renamed */
void vb2_done(struct vb2_buffer *vb);
int vb2_queue(struct vb2_buffer *vb);
`,
  'drivers/vb2.c': `#include <media/vb2.h>

void vb2_done(struct vb2_buffer *vb)
{
	vb->state = VB2_MAX;
}
EXPORT_SYMBOL_GPL(vb2_done);

int vb2_queue(struct vb2_buffer *vb)
{
	vb->state = 1;
	return 0;
}
`,
  'drivers/rkvdec.c': `#include <media/vb2.h>

static void rkvdec_buf_queue(struct vb2_buffer *vb)
{
	vb2_queue(vb);
}

static int rkvdec_a, rkvdec_b, rkvdec_c;
static int rkvdec_d, rkvdec_e, rkvdec_f;

static void rkvdec_stop(struct vb2_buffer *vb)
{
	vb2_done(vb);
}
`,
};

/** The helper, and its consumer. */
export const helper: Files = {
  'include/media/vb2.h': `${kernel['include/media/vb2.h']}int vb2_attach_fence(struct vb2_buffer *vb);\n`,
  'drivers/vb2.c': `${kernel['drivers/vb2.c']}
int vb2_attach_fence(struct vb2_buffer *vb)
{
	if (vb->state == VB2_MAX)
		return vb2_queue(vb);
	return 0;
}
EXPORT_SYMBOL_GPL(vb2_attach_fence);
`,
};
export const consumer: Files = {
  'drivers/rkvdec.c': (kernel['drivers/rkvdec.c'] ?? '').replace(
    '\tvb2_queue(vb);\n',
    '\tvb2_queue(vb);\n\t/* Opt in. */\n\t(void)vb2_attach_fence(vb);\n',
  ),
};

export const manifestText = `# fresnel: what its kernel is made of
host: fresnel
includes:   # in this order
  - board/pbp/0001-old.patch   # the spi one

# Explicitly NOT included:
# - driver/panfrost/
arch:   aarch64
`;

const pkgbuild = `pkgbase=linux-fresnel
pkgname=("$pkgbase" "$pkgbase-headers")
pkgver=7.0
pkgrel=1
arch=(aarch64)
source=("linux-$pkgver.tar"
        config
        0001-old.patch)
sha256sums=('SKIP'
            'SKIP'
            'SKIP')

prepare() {
  cd "linux-$pkgver"
  patch -Np1 -F0 -i "$srcdir/0001-old.patch"
}

build() {
  make
}

package_linux-fresnel() {
  pkgdesc=kernel
}

package_linux-fresnel-headers() {
  pkgdesc=headers
}
`;

/** The patch that the package applies already. */
const oldPatch = '--- /dev/null\n+++ b/drivers/old.c\n@@ -0,0 +1 @@\n+int old;\n';

const writeFiles = async (folder: string, files: Files): Promise<void> => {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
};

/** A commit on top of a branch of a bare repository, as somebody else would push it. */
export const pushFiles = async (bare: string, files: Files, message = 'change'): Promise<string> => {
  const clone = await mkdtemp(join(tmpdir(), 'ka-clone-'));
  try {
    await gitIn(clone, 'clone', '-q', bare, '.');
    await writeFiles(clone, files);
    await gitIn(clone, 'add', '-A');
    await gitIn(clone, 'commit', '-q', '--allow-empty', '-m', message);
    await gitIn(clone, 'push', '-q', 'origin', 'HEAD:main');
    return await gitIn(clone, 'rev-parse', 'HEAD');
  } finally {
    await rm(clone, { recursive: true, force: true });
  }
};

const bareRepository = async (folder: string, name: string, files: Files): Promise<string> => {
  const bare = join(folder, `${name}.git`);
  await mkdir(bare);
  await gitIn(bare, 'init', '-q', '--bare');
  await pushFiles(bare, files, 'init');
  return bare;
};

const asPatch = (file: string, text: string): Patch => patchOf(file, Buffer.from(text));

/** The `git format-patch` of the changes in a row, on top of the baseline. */
export const makeSeries = async (
  bare: string,
  changes: readonly { subject: string; files: Files }[],
): Promise<Patch[]> => {
  const clone = await mkdtemp(join(tmpdir(), 'ka-series-'));
  try {
    await gitIn(clone, 'clone', '-q', '-b', 'v7.0', bare, '.');
    for (const { subject, files } of changes) {
      await writeFiles(clone, files);
      await gitIn(clone, 'add', '-A');
      await gitIn(clone, 'commit', '-q', '-m', subject);
    }
    const names = (await gitIn(clone, 'format-patch', '-o', 'out', 'v7.0')).split('\n');
    const patches: Patch[] = [];
    for (const name of names)
      patches.push(asPatch(name.slice('out/'.length), await readFile(join(clone, name), 'utf8')));
    return patches;
  } finally {
    await rm(clone, { recursive: true, force: true });
  }
};

const contents = {
  linux: kernel,
  'kernel-agent': {
    'fleet/fresnel.yaml': manifestText,
    'patches/board/pbp/0001-old.patch': oldPatch,
  },
  packages: {
    'arch/linux-fresnel/PKGBUILD': pkgbuild,
    'arch/linux-fresnel/config': 'CONFIG_LOCALVERSION="-fresnel"\n',
    'arch/linux-fresnel/0001-old.patch': oldPatch,
  },
} satisfies Record<string, Files>;
const changes = [
  { subject: 'media: vb2: add a fence', files: helper },
  { subject: 'media: rkvdec: attach a fence', files: consumer },
];

/** The repositories, with the baseline's tag, and in `made.json` what is to land in them. */
const makeRepositories = async (folder: string): Promise<void> => {
  for (const [name, files] of Object.entries(contents)) await bareRepository(folder, name, files);
  const linux = join(folder, 'linux.git');
  const commit = await gitIn(linux, 'rev-parse', 'main');
  await gitIn(linux, 'tag', '-a', '-m', 'Linux 7.0', 'v7.0', commit);
  const patches = await makeSeries(linux, changes);
  await mkdir(join(folder, 'sources'));
  const tar = join(folder, 'sources', 'linux-7.0.tar');
  await gitIn(linux, 'archive', '--format=tar', '--prefix=linux-7.0/', `--output=${tar}`, 'v7.0');
  await writeFile(join(folder, 'made.json'), JSON.stringify({ commit, patches }));
};

/** Three repositories over file://, a builder that knows them, and its requests. */
export const makeFleet = async () => {
  const key = cacheKey(JSON.stringify([contents, changes]), await gitIn('/', '--version'));
  const made = await madeOnce(`repositories-2-${key}`, makeRepositories);
  const folder = await mkdtemp(join(tmpdir(), 'ka-builder-'));
  await cp(made, folder, { recursive: true });
  await chmod(folder, 0o755);
  const place = (name: keyof typeof contents) => join(folder, `${name}.git`);
  const paths = {
    linux: place('linux'),
    'kernel-agent': place('kernel-agent'),
    packages: place('packages'),
  };
  const { commit, patches }: { commit: string; patches: Patch[] } = JSON.parse(
    await readFile(join(folder, 'made.json'), 'utf8'),
  );
  const repositories = Object.fromEntries(
    Object.entries(paths).map(([name, path]) => [name, `file://${path}`]),
  );
  const config = builderConfig(folder, { repositories });
  const series = { scope: 'subsystem/media/fence', patches };
  const at = {
    manifest: { repository: 'kernel-agent', branch: 'main', file: 'fleet/fresnel.yaml' },
    package: {
      repository: 'packages',
      branch: 'main',
      folder: 'arch/linux-fresnel',
      base: 'linux-fresnel',
      names: ['linux-fresnel', 'linux-fresnel-headers'],
      from: '7.0-1',
      to: '7.0-2',
      release: '7.0.0-fresnel',
    },
  };
  const preflight: StepRequest<'preflight'> = {
    baseline: { repository: 'linux', tag: 'v7.0', commit },
    series,
    symbols: ['vb2_done'],
    ...at,
  };
  const land: Omit<StepRequest<'land'>, 'approved'> = {
    title: 'Fences',
    series,
    patchset: patchsetHash(readSeries(patches)),
    ...at,
  };
  return {
    folder,
    paths,
    host: config,
    preflight,
    land,
    /** A folder in which the step harness keeps the state of one test. */
    runFolder: () => mkdtemp(join(folder, 'run-')),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
};

export type TestFleet = Awaited<ReturnType<typeof makeFleet>>;
