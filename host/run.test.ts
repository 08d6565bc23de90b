import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { Superseded } from '../agents/runtime/errors.ts';
import { until } from '../test/log-server.ts';
import { ProgramFailed } from './errors.ts';
import { createRun } from './run.ts';

const folder = mkdtempSync(join(tmpdir(), 'ka-run-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const lines: string[] = [];
beforeEach(() => void lines.splice(0));
const run = createRun((line) => lines.push(line));
const shell = (script: string, ...args: string[]) => ['sh', '-c', script, 'sh', ...args];

const isAlive = (pid: number) => {
  try {
    // A zombie is no longer alive, even if nobody has waited for it yet.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};
const pidIn = (file: string) =>
  until(() => {
    try {
      return Number(readFileSync(file, 'utf8').trim()) || undefined;
    } catch {
      return undefined;
    }
  });

describe('a program', () => {
  it('gets its arguments as they stand', async () => {
    const odd = ['a b', '$HOME', '`id`', '"', '*', '', '-n', ';'];
    const { stdout } = await run(['printf', '%s\\n', ...odd]);
    expect(stdout).toBe(odd.map((one) => `${one}\n`).join(''));
  });

  it('prints every line to the step before its end is reported, unless it is quiet', async () => {
    await expect(run(shell('echo one; echo two >&2; printf last; exit 3'))).rejects.toThrow('exit code 3');
    expect(lines.sort()).toEqual(['last', 'one', 'two']);
    await run(['echo', 'quiet'], { quiet: true });
    expect(lines).toHaveLength(3);
  });

  it('has an environment of its own', async () => {
    process.env.KA_SECRET = 'leaks';
    const { stdout } = await run(['env'], { env: { MAKEFLAGS: '-j2' } });
    delete process.env.KA_SECRET;
    const names = stdout
      .trim()
      .split('\n')
      .map((line) => line.split('=')[0]);
    expect(names.sort()).toEqual(['LANG', 'MAKEFLAGS', 'PATH']);
  });

  it('is given its input', async () => {
    expect((await run(['cat'], { input: 'text' })).stdout).toBe('text');
    expect((await run(['cat'])).stdout).toBe('');
  });

  it('answers with the exit codes that are expected, and fails with others', async () => {
    expect((await run(shell('exit 4'), { exitCodes: [0, 4] })).exitCode).toBe(4);
    const failed = await run(shell('echo out; echo why >&2; exit 5')).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(ProgramFailed);
    expect(failed).toMatchObject({ program: 'sh', exitCode: 5, stdout: 'out\n', stderr: 'why\n' });
    expect((failed as Error).message).toBe('sh ended with exit code 5: why');
  });

  it('that does not exist, has no folder, or is killed is reported as such', async () => {
    await expect(run(['no-such-program'])).rejects.toThrow(/^no-such-program could not be started: .*ENOENT/);
    await expect(run(['true'], { cwd: join(folder, 'none') })).rejects.toThrow(/^true could not be started/);
    await expect(run(shell('kill -9 $$'))).rejects.toThrow('sh was ended by SIGKILL');
    await expect(run(['no-such-program'], { outlive: true })).rejects.toThrow(ProgramFailed);
  });

  it('that prints without end is stopped', async () => {
    await expect(run(['cat', '/dev/zero'], { quiet: true })).rejects.toThrow(/printed more than/);
  });

  it('is ended with its whole group at its time limit', async () => {
    const file = join(folder, 'grandchild');
    const limit = run(shell('sh -c \'echo $$ > "$1"; exec sleep 60\' sh "$1" & wait', file), {
      timeoutMs: 300,
    });
    const pid = await pidIn(file);
    expect(isAlive(pid)).toBe(true);
    await expect(limit).rejects.toThrow('did not end within 0 s and was stopped');
    await until(() => !isAlive(pid));
  });

  it('is not waited for past its limit, where a child that left the group holds its output', async () => {
    const file = join(folder, 'escaped');
    const began = Date.now();
    const escaped = run(shell('setsid sh -c \'echo $$ > "$1"; exec sleep 60\' sh "$1" &', file), {
      timeoutMs: 500,
    });
    await expect(escaped).rejects.toThrow('was stopped');
    expect(Date.now() - began).toBeLessThan(10_000);
    process.kill(await pidIn(file), 'SIGKILL');
  });

  it('is ended when the attempt is, unless it outlives the agent', async () => {
    const stop = new AbortController();
    const stoppable = createRun(() => undefined, stop.signal);
    const [short, long] = [join(folder, 'short'), join(folder, 'long')];
    const ended = stoppable(shell('echo $$ > "$1"; exec sleep 60', short));
    const outliving = stoppable(shell('echo $$ > "$1"; exec sleep 1', long), { outlive: true });
    const [first, second] = [await pidIn(short), await pidIn(long)];
    stop.abort(new Superseded('superseded'));
    await expect(ended).rejects.toThrow(Superseded);
    await until(() => !isAlive(first));
    expect(isAlive(second)).toBe(true);
    expect((await outliving).exitCode).toBe(0);
    await expect(stoppable(['true'])).rejects.toThrow(Superseded);
  });
});
