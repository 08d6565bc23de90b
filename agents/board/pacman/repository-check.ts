import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { readJson } from '../../../eventlog/files/read-json.ts';
import type { Trust } from '../../../eventlog/signing/trust.ts';
import { fetchUrl } from '../../../host/fetch-url.ts';
import { hashFile } from '../../../host/hash-file.ts';
import { isThere } from '../../../host/is-there.ts';
import type { Run } from '../../../host/run.ts';
import { PackageProof, proofAtMostBytes, proofSuffix } from '../../../schemas/attestation.ts';
import type { BoardConfig } from '../../../schemas/config.ts';
import { PackageName } from '../../../schemas/names.ts';
import { asStepFailed, StepFailed } from '../../runtime/errors.ts';
import { refuseUnexpectedContents } from '../../runtime/package/package-contents.ts';
import { readPackageFile } from '../../runtime/package/package-file.ts';
import { requireProvenance } from '../../runtime/provenance.ts';
import { repositoryFile, withoutSlash } from '../repository-file.ts';
import { createPacman, expiredKeyConfigFile } from './pacman.ts';

type Host = Pick<BoardConfig, 'host' | 'root' | 'pacman' | 'repositoryUrl' | 'stateFolder'>;

/** What pacman is about to do, as its hook is told it. */
export interface Transaction {
  /** The names of the packages that are to be installed or upgraded. */
  targets: readonly string[];
  /** How pacman was started. */
  argv: readonly string[];
}

/** The configuration that pacman was started with, if it was told one. */
const configOf = (argv: readonly string[]): string | undefined => {
  const at = argv.indexOf('--config');
  return at >= 0 ? argv[at + 1] : argv.find((word) => word.startsWith('--config='))?.slice(9);
};

/** Whether pacman installs files that it was given, `-U`: then nobody knows what is in a target. */
const takesFiles = (argv: readonly string[]): boolean =>
  argv.some((word) => word === '--upgrade' || /^-[A-Za-z]*U/.test(word));

/** The repositories of the everyday configuration that are the fleet's: by name, or by their address. */
const fleetRepositories = async (run: Run, { pacman, repositoryUrl }: Host): Promise<string[]> => {
  const ask = async (...words: string[]) =>
    (await run(['pacman-conf', '--config', pacman.configFile, ...words], { quiet: true })).stdout
      .split('\n')
      .filter((line) => line !== '');
  const found: string[] = [];
  for (const name of await ask('--repo-list')) {
    const servers = await ask(`--repo=${name}`, 'Server');
    if (name === pacman.repository || servers.map(withoutSlash).includes(withoutSlash(repositoryUrl)))
      found.push(name);
  }
  return found;
};

/**
 * The names in what `pacman -Sl` prints.
 * @throws {Error} if one is no package's name: such a one could be spelled so that nobody finds it among the targets.
 */
const offeredIn = (listed: string, repository: string): Set<string> =>
  new Set(
    listed
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [of, name, version] = line.split(' ');
        if (of !== repository || version === undefined || !PackageName.safeParse(name).success)
          throw new Error(`[${repository}] offers ${JSON.stringify(line)}, which is no package: look at it`);
        return name ?? '';
      }),
  );

/**
 * Fetches a package's proof from beside it in the repository.
 * @throws {StepFailed} (host) if it can't be had, (work) if it is none.
 */
const fetchProof = async (run: Run, host: Host, file: string): Promise<PackageProof> => {
  const url = repositoryFile(host, `${file}${proofSuffix}`);
  const folder = await mkdtemp(join(tmpdir(), 'ka-proof-'));
  try {
    const fetched = join(folder, 'proof');
    const { ended, stderr } = await fetchUrl(
      run,
      { url, file: fetched, from: 0, atMostBytes: proofAtMostBytes },
      { options: ['--connect-timeout', '10', '--max-time', '60'], timeoutMs: 70_000 },
    );
    if (ended !== 0) throw new StepFailed('host', `${url} gives no proof of it (${stderr})`);
    const proof = readJson(PackageProof, await readFile(fetched));
    if (proof === undefined) throw new StepFailed('work', `${url} is no proof of a package`);
    return proof;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/**
 * Checks a package that is to be installed from a repository: a pinned builder attests these very bytes, and people have
 * approved them for this board, and they hold no more than they may, as the step install requires it.
 * @throws {StepFailed}
 */
const requireProved = async (
  run: Run,
  host: Host,
  trust: Trust,
  { repository, name }: { repository: string; name: string },
): Promise<void> => {
  // pacman's own answer: another reader of its database might see another file.
  const ask = ['--config', host.pacman.configFile, '--noconfirm', '-Spdd', '--print-format', '%l'];
  const { stdout } = await run([...host.pacman.command, ...ask, '--', `${repository}/${name}`], {
    quiet: true,
  });
  const file = basename(decodeURIComponent(stdout.trim()));
  const path = join(host.pacman.cacheFolder, file);
  const found = await hashFile(path).catch(() => undefined);
  if (!found)
    throw new StepFailed(
      'host',
      `${path} is not there: pacman takes ${name} from another repository, or keeps it elsewhere`,
    );
  const proof = await fetchProof(run, host, file);
  const proved = proof.packages.find((one) => one.file === file);
  if (proved?.sha256 !== found.sha256)
    throw new StepFailed(
      'work',
      `its proof is about ${proved?.sha256 ?? 'other files'}, and ${path} has the sha256 ${found.sha256}`,
    );
  const content = await readPackageFile(run, path);
  if (content.name !== name) throw new StepFailed('work', `${path} holds ${content.name}`);
  const provided = { packages: proof.packages, version: content.version, board: host.host };
  const { plan } = requireProvenance(proof.provenance, trust, proof.iteration, provided);
  refuseUnexpectedContents(content, await createPacman(host, run).installed(name), plan.package);
};

/**
 * Checks what pacman is about to install from the fleet's repository. Whoever has the publisher's key could otherwise have
 * anything installed by the next `pacman -Syu`. A pacman that was started with the board's configuration without
 * repositories is not checked here: it is the agent's, which has checked the same, or a person's who says so.
 * @param trust whom this board trusts. It is not called for a put-back, which no fault of the fleet's file may hold up.
 * @returns one sentence for each package that may not be installed.
 * @throws {Error} if pacman can't be asked.
 */
export const refusedTargets = async (
  run: Run,
  host: Host,
  trust: () => Trust,
  { targets, argv }: Transaction,
): Promise<string[]> => {
  const { configFile, localConfigFile, command, databaseFolder } = host.pacman;
  if ([localConfigFile, expiredKeyConfigFile(host)].includes(configOf(argv) ?? '')) return [];
  const refused: string[] = [];
  for (const repository of await fleetRepositories(run, host)) {
    // A repository that was never synchronized offers nothing.
    if (!(await isThere(join(databaseFolder, 'sync', `${repository}.db`)))) continue;
    const list = [...command, '--config', configFile, '-Sl', '--', repository];
    const offered = offeredIn((await run(list, { quiet: true })).stdout, repository);
    for (const name of targets.filter((target) => offered.has(target))) {
      const refuse = (why: string) =>
        refused.push(
          `${name} of [${repository}] is not installed: ${why}. Leave it out with --ignore ${name}; it is installed by an iteration, or by hand with: pacman --config ${localConfigFile} -U FILE`,
        );
      if (takesFiles(argv)) refuse('nothing shows what is in a file that is given to pacman -U');
      else
        try {
          await requireProved(run, host, trust(), { repository, name });
        } catch (error) {
          const failed = asStepFailed(error);
          if (!(failed instanceof StepFailed)) throw error;
          refuse(failed.message.replace(/\.$/, ''));
        }
    }
  }
  return refused;
};
