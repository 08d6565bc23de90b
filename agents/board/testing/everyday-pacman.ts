import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { stringify } from 'yaml';
import { exampleProvenance } from '../../../coordinator/testing/example-attestation.ts';
import { exampleFleet } from '../../../coordinator/testing/example-plan.ts';
import { bundleAgent } from '../../../deploy/enrol/agent-bundle.ts';
import { pacmanHook } from '../../../deploy/enrol/pacman-hook.ts';
import { hashFile } from '../../../host/hash-file.ts';
import { createRun } from '../../../host/run.ts';
import { type PackageProof, proofSuffix } from '../../../schemas/attestation.ts';
import { trustFileText } from '../../../schemas/trust-file.ts';
import { makePackage } from '../../../test/tiny-package.ts';
import { startTempBoard } from './temp-board.ts';
import { sign } from './test-packages.ts';

const run = createRun(() => undefined);

/**
 * libalpm runs a hook within the root that it installs into. So this machine's programs are mounted there, for pacman alone
 * and not to be written to; the board's own folder keeps its path.
 */
const inRoot = `set -e
root=$1 folder=$2
for each in usr bin lib lib64; do
  [ -e /$each ] || continue
  mkdir -p "$root/$each"
  mount --rbind "/$each" "$root/$each"
  mount -o remount,bind,ro "$root/$each"
done
for each in proc dev "\${folder#/}"; do
  mkdir -p "$root/$each"
  mount --rbind "/$each" "$root/$each"
done
mkdir -p "$root/tmp"
shift 2
exec pacman "$@"`;

/** A temporary board with the hook in its everyday pacman, and a repository that offers what its publisher signs. */
export const startEverydayBoard = async () => {
  const board = await startTempBoard();
  try {
    const { folder, root, host, repository, key } = board;
    const program = join(folder, 'pacman-hook.mjs');
    await writeFile(program, (await bundleAgent('board')).programs.get('pacman-hook.mjs') ?? '');
    const config = join(folder, 'agent.yaml');
    const trustFile = join(folder, 'trust.json');
    await writeFile(trustFile, trustFileText(exampleFleet));
    const asked = { ...host, trustFile, pacman: { ...host.pacman, command: ['pacman'] } };
    await writeFile(config, stringify(asked));
    const hook = pacmanHook({ node: process.execPath, file: program, config });
    await mkdir(join(folder, 'hooks'), { recursive: true });
    await writeFile(join(folder, 'hooks/00-kernel-agent.hook'), hook);
    const apart = process.getuid?.() === 0 ? '-m' : '-Urm';

    /** Runs pacman with one of the board's two configurations. @returns its exit code, and all that it printed. */
    const pacman = async (configFile: string, ...args: string[]) => {
      const { exitCode, stdout, stderr } = await run(
        [
          ...['unshare', apart, 'sh', '-c', inRoot, 'sh', root, folder],
          ...['--config', configFile, '--noconfirm', ...args],
        ],
        { exitCodes: [0, 1] },
      );
      return { exitCode, says: `${stdout}\n${stderr}` };
    };
    return {
      ...board,
      pacman,
      everyday: (...args: string[]) => pacman(host.pacman.configFile, ...args),
      byHand: (...args: string[]) => pacman(host.pacman.localConfigFile, ...args),
      /** Makes a package with one file of that text. @returns its path. */
      makePackage: (name: string, version = '1-1', text = name) =>
        makePackage(join(folder, 'made'), { name, version, files: { [`usr/lib/modules/${name}`]: text } }),
      /** Signs packages and adds them to the repository, with a proof beside each if there is one. */
      offer: async (files: readonly string[], proof?: PackageProof | string) => {
        for (const file of files) await sign(key, file);
        await board.publish(files);
        const names = files.map((file) => basename(file));
        await run(['repo-add', '-q', 'ka.db.tar.gz', ...names], { cwd: repository });
        if (proof !== undefined)
          for (const name of names)
            await writeFile(
              join(repository, `${name}${proofSuffix}`),
              typeof proof === 'string' ? proof : JSON.stringify(proof),
            );
      },
      /** The proof that a builder attests these packages, and that people have approved them. */
      prove: async (
        files: readonly string[],
        about: Parameters<typeof exampleProvenance>[1] = {},
      ): Promise<PackageProof> => {
        const packages = await Promise.all(
          files.map(async (file) => ({ file: basename(file), sha256: (await hashFile(file)).sha256 })),
        );
        const { iteration = 'iter5' } = about;
        const [, version = ''] = /-(\d+-\d+)-any\.pkg/.exec(packages[0]?.file ?? '') ?? [];
        return { iteration, packages, provenance: exampleProvenance(packages, { version, ...about }) };
      },
      installed: async (name: string) =>
        (await pacman(host.pacman.localConfigFile, '-Q', name)).exitCode === 0,
    };
  } catch (error) {
    await board.stop();
    throw error;
  }
};

export type EverydayBoard = Awaited<ReturnType<typeof startEverydayBoard>>;
