import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Need, orNoRoom, requireRoom } from '../../host/disk-room.ts';
import { ProgramFailed } from '../../host/errors.ts';
import { isThere } from '../../host/is-there.ts';
import type { Ran, Run } from '../../host/run.ts';
import type { BuilderConfig } from '../../schemas/config.ts';
import type { EffectName } from '../../schemas/effects.ts';
import { treeFor } from '../../schemas/reviewed.ts';
import type { StepEvidence, StepRequest } from '../../schemas/steps.ts';
import { packageIn, requireAgreed } from '../runtime/agreed-plan.ts';
import { asStepFailed, StepFailed } from '../runtime/errors.ts';
import type { Step, StepContext } from '../runtime/step.ts';
import { type AskedBuild, failedBuildOf, provenanceOf } from './build-statements.ts';
import { createGit } from './git/git.ts';
import { createMakepkg, type Makepkg } from './makepkg/makepkg.ts';
import { inspectPackages, offerPackages, probeOffer, removeParts, takePackages } from './makepkg/offer.ts';
import { placePackage } from './makepkg/place-package.ts';
import { noteSources } from './makepkg/used-sources.ts';
import { openWorktree, type Worktree } from './makepkg/worktree.ts';
import { parseSrcinfo, srcinfoVersion } from './pkgbuild/srcinfo.ts';
import { requireReviewed } from './reviewed-series.ts';

const megabyte = 1024 * 1024;

/** The least room that a build takes. How much this package needs is not known in advance. */
const neededRoom = ({ makepkg, offeredFolder, stateFolder }: BuilderConfig): Need[] => [
  { folder: makepkg.worktreesFolder, bytes: 256 * megabyte },
  { folder: offeredFolder, bytes: 64 * megabyte },
  { folder: stateFolder, bytes: 16 * megabyte },
];

/** Builds the packages of one commit, attests how, and offers them to the publisher. A failure is attested too. */
export const build: Step<'build', BuilderConfig> = async (request, context) => {
  const { host, iteration, attempt, attest } = context;
  const asked: AskedBuild = { host, iteration, attempt, request };
  try {
    return await buildPackages(asked, context);
  } catch (thrown) {
    const error = asStepFailed(thrown);
    if (!(error instanceof StepFailed)) throw error;
    const { fault, message, seen, cause } = error;
    throw new StepFailed(fault, message, { seen, cause, attestation: attest(failedBuildOf(asked, fault)) });
  }
};

const buildPackages = async (
  asked: AskedBuild,
  { effect, host, run, key, workFolder, attest, trust }: StepContext<BuilderConfig, EffectName<'build'>>,
): Promise<StepEvidence<'build'>> => {
  const { request } = asked;
  requireAgreed(
    request.approved,
    { trust, iteration: asked.iteration },
    { package: request.package },
    (plan) => ({
      package: packageIn(plan),
    }),
  );
  const makepkg = createMakepkg(run, host);
  const exported = join(workFolder, 'package');
  const wholeFile = join(workFolder, 'package.whole');

  // After a cut anywhere the export begins again. The file that marks it as complete is written last.
  await effect('checkout', {
    before: () => requireRoom('a build', neededRoom(host)),
    probe: async () => ((await isThere(wholeFile)) ? { happened: 'yes', result: null } : { happened: 'no' }),
    act: () =>
      orNoRoom(workFolder, async () => {
        await checkOut(run, host, request, exported);
        await writeFile(wholeFile, '');
        return null;
      }),
  });

  const files = await requireReviewed(exported, request);

  const offered = join(host.offeredFolder, key);
  const making = { asked, makepkg, run, host, attest, workFolder, exported, offered, files };
  return effect('packages', {
    probe: () => probeOffer(offered),
    act: () => {
      const disks = `${host.makepkg.worktreesFolder} or of ${host.offeredFolder}`;
      return orNoRoom(disks, () => makePackages(making)).catch(async (error: unknown) => {
        // On a full disk they would take the room of the next build. That build removes what can't be removed now.
        await removeParts(host.offeredFolder).catch(() => undefined);
        throw error;
      });
    },
  });
};

interface Making extends Pick<StepContext<BuilderConfig>, 'run' | 'host' | 'attest' | 'workFolder'> {
  asked: AskedBuild;
  makepkg: Makepkg;
  /** Where the package's folder is exported, as the commit has it. */
  exported: string;
  /** Where the packages are to be. */
  offered: string;
  files: Awaited<ReturnType<typeof requireReviewed>>;
}

/** After a cut anywhere the worktree repairs itself, half-made packages are in `.part`, and the rename comes last. */
const makePackages = async ({
  asked,
  makepkg,
  run,
  host,
  attest,
  exported,
  offered,
  workFolder,
  files,
}: Making): Promise<StepEvidence<'build'>> => {
  const { request } = asked;
  const part = `${offered}.part`;
  const started = performance.now();
  const startedOn = new Date().toISOString();
  const folder = join(host.makepkg.worktreesFolder, request.package.base);
  const tree = await openWorktree(makepkg, folder, request.package.base, {
    git: createGit(run, host),
    workFolder,
    packagesFolder: part,
    epochSeconds: request.source.epochSeconds,
  });
  await placePackage(run, exported, tree.place.packageFolder);
  await requireMeant(makepkg, tree.place.packageFolder, request.package);
  const { ran: prepared, found } = await prepareSources(tree, { ...asked, host }, makepkg);
  const { sources, before } = await tree.bringOver(found);

  // Not earlier: a makepkg that outlived its killed agent may still work there, and prepare() waits for it.
  await removeParts(host.offeredFolder);
  await makepkg.give(part);
  const built = await tree.build(found);
  await takePackages(part);

  const { names, to: version } = request.package;
  const expected = { names, version, carch: host.makepkg.carch };
  const { packages, buildinfo, buildinfoSha256 } = await inspectPackages(run, part, expected);
  const seconds = (performance.now() - started) / 1000;
  const output = outputOf(prepared ? [prepared, built] : [built]);
  const done = { commit: request.commit, seconds, ...compiledBy(built) };
  const confinement = await makepkg.confinement(tree.place);
  const finishedOn = new Date().toISOString();
  const how = {
    packages,
    buildinfo,
    buildinfoSha256,
    confinement,
    files,
    startedOn,
    finishedOn,
    epochSeconds: request.source.epochSeconds,
  };
  const attestation = attest(provenanceOf(asked, how));
  const seen = { packages, buildinfo, sources, output, confinement, attestation };
  const evidence = { ...done, ...seen, ...(before && { before }) };
  await tree.remember(done);
  await offerPackages(part, offered, evidence);
  return evidence;
};

const checkOut = async (
  run: Run,
  host: BuilderConfig,
  { commit, package: { repository, folder }, approved }: StepRequest<'build'>,
  exported: string,
): Promise<void> => {
  const git = createGit(run, host);
  const mirror = await git.mirror(repository);
  const where = `${commit} of the repository "${repository}"`;
  const there = ['cat-file', '-e', `${commit}^{commit}`];
  await git.run(mirror, there, { quiet: true }).catch((cause: unknown) => {
    if (!(cause instanceof ProgramFailed) || cause.exitCode !== 128) throw cause;
    throw new StepFailed('work', `no commit ${where} after a fetch; was it pushed?`, { cause });
  });
  const found = (await git.entry(mirror, commit, folder))?.object;
  const tree = treeFor(approved, 'packaging');
  if (found === undefined || found !== tree)
    throw new StepFailed(
      'work',
      `${folder} in ${where} is the tree ${found ?? '(none)'}; people have approved ${tree ?? 'none'}`,
    );
  await git.exportFolder(mirror, commit, folder, exported);
};

/** Prepares the sources that people have approved, here or again. @throws {StepFailed} (host) if others come of it. */
const prepareSources = async (
  tree: Worktree,
  {
    host,
    iteration,
    request: {
      package: { base },
      approved,
    },
  }: AskedBuild & { host: BuilderConfig },
  makepkg: Makepkg,
) => {
  const [wanted, wantedConfig] = [treeFor(approved, 'prepared'), treeFor(approved, 'config')];
  const prepared = await tree.prepare({ tree: wanted, config: wantedConfig });
  await noteSources(host, { iteration, base, files: await makepkg.fetchedSources(tree.place) });
  const { found } = prepared;
  for (const [what, one, other] of [
    ['sources', found.tree, wanted],
    ['.config', found.config, wantedConfig],
  ] as const)
    if (one !== other)
      throw new StepFailed(
        'host',
        `prepare() gives the ${what} ${one} on ${host.host}; people have approved ${other ?? 'none'}: another compiler, or a prepare() that never gives the same twice?`,
      );
  return prepared;
};

/** Compares the PKGBUILD with the request before the build, which takes long. */
const requireMeant = async (
  makepkg: Makepkg,
  folder: string,
  { base, to }: StepRequest<'build'>['package'],
): Promise<void> => {
  const srcinfo = parseSrcinfo(await makepkg.printSrcinfo(folder));
  const found = `${srcinfo.base.name} ${srcinfoVersion(srcinfo)}`;
  if (found !== `${base} ${to}`)
    throw new StepFailed('work', `the PKGBUILD is for ${found}; expected ${base} ${to}`);
};

/** kbuild prints a line for each file that it compiles; see the kernel's scripts/Makefile.build. */
const compiledBy = ({ stdout }: Ran): { compiled?: number } => {
  const compiled = stdout.match(/^ {2}(?:HOST)?CC +(?:\[M\] +)?\S+$/gm)?.length ?? 0;
  return compiled === 0 ? {} : { compiled };
};

/** What makepkg printed: its standard output, then its standard error, of one stage after the other. */
const outputOf = (stages: readonly Ran[]) => {
  const text = stages.map(({ stdout, stderr }) => `${stdout}${stderr}`).join('');
  const lines = text.split('\n').filter((line) => line !== '').length;
  return { lines, sha256: createHash('sha256').update(text).digest('hex') };
};
