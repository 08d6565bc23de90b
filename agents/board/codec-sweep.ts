import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ProgramFailed } from '../../host/errors.ts';
import { hashFile } from '../../host/hash-file.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { Cell, PackageFile, StepEvidence, StepRequest } from '../../schemas/steps.ts';
import { StepFailed } from '../runtime/errors.ts';
import { readPackageFile } from '../runtime/package/package-file.ts';
import type { StepContext } from '../runtime/step.ts';
import { readBoot, requireRunsInstalled } from './boot.ts';
import { refuseFired } from './deadline/deadline.ts';
import { installedVersion } from './pacman/installed.ts';
import { createPacman } from './pacman/pacman.ts';
import { hasContent, stagedFile } from './staged.ts';
import { sweptStatementOf } from './sweep-statement.ts';

type SweepRequest = StepRequest<'sweep'>;
type Swept = StepEvidence<'sweep'>;
type Sweeper = Pick<StepContext<BoardConfig>, 'host' | 'run' | 'note' | 'workFolder' | 'signal'>;

/** The single line that the sweep's program prints. */
const Answer = z.object({ device: z.string().min(1).nullable(), frames: z.int().min(0) });
type OneRun = { sha256: string } & z.infer<typeof Answer>;

/** The run produced nothing that can be compared. The message goes into the table. */
class NoFinding extends Error {
  override readonly name = 'NoFinding';
}

const readAnswer = (stdout: string): z.infer<typeof Answer> => {
  try {
    return Answer.parse(JSON.parse(stdout));
  } catch (error) {
    const said = stdout.trim().slice(0, 200) || 'nothing';
    throw new NoFinding(`One line of JSON with device and frames was expected on stdout; it said: ${said}`, {
      cause: error,
    });
  }
};

/** @throws {NoFinding} if the program fails, prints something else, or writes no output. */
const runOnce = async (
  { host, run, workFolder, signal }: Sweeper,
  { row, path, fixture }: { row: string; path: string; fixture: string },
): Promise<OneRun> => {
  const output = join(workFolder, `${row}.${path}.out`);
  // The output of an earlier run could be mistaken for this one's.
  await rm(output, { force: true });
  try {
    const timeoutMs = host.sweep.timeoutSeconds * 1000;
    const { stdout } = await run([...host.sweep.command, row, path, fixture, output], { timeoutMs });
    const answer = readAnswer(stdout);
    const { size } = await stat(output).catch(() => ({ size: undefined }));
    if (size === undefined) throw new NoFinding(`${path} wrote no output file.`);
    if (size === 0 || answer.frames === 0) throw new NoFinding(`${path} gave no frame.`);
    return { ...answer, sha256: (await hashFile(output)).sha256 };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof ProgramFailed)) throw error;
    const code = (error.cause as NodeJS.ErrnoException | undefined)?.code;
    if (code === 'ENOENT' || code === 'EACCES')
      throw new StepFailed(
        'host',
        `The sweep's program ${host.sweep.command[0]} can't be started (${code}): see sweep.command in the config.`,
        { cause: error },
      );
    throw new NoFinding(error.message, { cause: error });
  } finally {
    await rm(output, { force: true });
  }
};

/**
 * Makes one cell of the table from its runs. A run without a finding makes it an error, whatever the other runs gave.
 */
const cellOf = (
  { row, path, device: needsDevice }: { row: string; path: string; device: boolean },
  runs: readonly OneRun[],
  error?: string,
): Cell => {
  const hashes = runs.map(({ sha256 }) => sha256);
  const same = error === undefined && new Set(hashes).size === 1;
  const withoutDevice = runs.find(({ device }) => device === null);
  const device = withoutDevice ? null : (runs[0]?.device ?? null);
  return {
    row,
    path,
    status:
      error !== undefined ? 'error' : needsDevice && device === null ? 'no-device' : same ? 'ok' : 'unstable',
    sha256: same ? (hashes[0] ?? null) : null,
    hashes,
    device,
    frames: runs[0]?.frames ?? null,
    ...(error === undefined ? {} : { error }),
  };
};

const sweepCell = async (
  sweeper: Sweeper,
  cell: { row: string; path: string; device: boolean; fixture: string },
  repeats: number,
): Promise<Cell> => {
  const runs: OneRun[] = [];
  try {
    for (let repeat = 0; repeat < repeats; repeat++) runs.push(await runOnce(sweeper, cell));
    return cellOf(cell, runs);
  } catch (error) {
    if (!(error instanceof NoFinding)) throw error;
    return cellOf(cell, runs, error.message);
  }
};

const hashFixtures = async (folder: string, rows: SweepRequest['rows']): Promise<Swept['fixtures']> => {
  const files = [...new Set(rows.flatMap(({ fixture }) => (fixture === undefined ? [] : [fixture])))];
  return Promise.all(
    files.map(async (file) => {
      const content = await hashFile(join(folder, file)).catch((error: unknown) => {
        throw new StepFailed('host', `The fixture ${join(folder, file)} can't be read: put it there.`, {
          cause: error,
        });
      });
      return { file, sha256: content.sha256 };
    }),
  );
};

/** Runs every row on its paths, one after the other. */
export const sweepTable = async (
  { rows, paths, repeats }: Pick<SweepRequest, 'rows' | 'paths' | 'repeats'>,
  sweeper: Sweeper,
): Promise<Cell[]> => {
  const { fixturesFolder } = sweeper.host.sweep;
  const table: Cell[] = [];
  for (const { name: row, fixture, paths: own } of rows)
    for (const { name: path, device } of paths) {
      if (own !== undefined && !own.includes(path)) continue;
      const at = { row, path, device, fixture: fixture === undefined ? '-' : join(fixturesFolder, fixture) };
      const cell = await sweepCell(sweeper, at, repeats);
      sweeper.note(`${row} ${path}: ${cell.status} ${cell.sha256 ?? cell.error ?? cell.hashes.join(' ')}`);
      table.push(cell);
    }
  return table;
};

/**
 * The board's attestation is about these files, so they have to be as they were staged, and be what is installed.
 * @throws {StepFailed} (host) if not.
 */
const requireInstalled = async ({ host, run }: Sweeper, packages: readonly PackageFile[]): Promise<void> => {
  const pacman = createPacman(host, run);
  for (const wanted of packages) {
    const file = stagedFile(host, wanted);
    if (!(await hasContent(file, wanted.sha256)))
      throw new StepFailed(
        'host',
        `${file} is not there with the sha256 ${wanted.sha256}: nobody can say that it is what runs; stage it again.`,
      );
    if (!(await pacman.holds(await readPackageFile(run, file))))
      throw new StepFailed(
        'host',
        `What is installed of ${wanted.name} on ${host.host} is not what ${file} holds: install it again.`,
      );
  }
};

/**
 * Runs every row on its paths, as often as the request says, and returns what each gave. It changes nothing in the
 * world. If the packages are named, the board attests the result.
 * @throws {StepFailed} (work) if another version is installed; (host) if the running kernel is not the installed one, a
 * fixture or the program is missing, or the packages differ.
 */
export const codecSweep = async (
  request: SweepRequest,
  context: StepContext<BoardConfig, 'table'>,
): Promise<Swept> => {
  const { effect, host, iteration, step, attest } = context;
  return effect('table', {
    // A sweep that was cut begins again, because all its cells have to be from one boot.
    probe: () => ({ happened: 'no' }),
    act: async () => {
      const version = await installedVersion(context, host.packages);
      if (version !== request.version)
        throw new StepFailed(
          'work',
          `${host.host} has ${version} installed and the sweep is for ${request.version}: correct the plan, or install that.`,
        );
      const boot = await readBoot(host);
      await requireRunsInstalled(
        host,
        boot,
        step === 'presweep'
          ? `nothing was changed yet; reboot ${host.host}, then ka retry.`
          : `another kernel has booted since the reboot, as after a power cut; ${host.host} goes back.`,
      );
      const fixtures = await hashFixtures(host.sweep.fixturesFolder, request.rows);
      const { packages } = request;
      if (packages) await requireInstalled(context, packages);
      const table = await sweepTable(request, context);
      // A deadline that has gone off replaces the system that the cells ran on.
      await refuseFired(host, iteration);
      const seen = { release: boot.release, procVersion: boot.procVersion, version, fixtures, table };
      if (!packages) return seen;
      const swept = { host, iteration, request, packages, boot, fixtures, table };
      return { ...seen, attestation: attest(sweptStatementOf(swept)) };
    },
  });
};
