import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ArchivePart, writeArchive } from './export-archive.ts';
import { readArchive } from './read-archive.ts';
import { ArchiveFault } from './ustar.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ka-archive-'));
  file = join(folder, 'iter5.tar');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const part = (name: string, text: string): ArchivePart => ({ name, bytes: Buffer.from(text) });
const parts = [
  part('report.md', '# iter5\n'),
  part('events.jsonl', `${'{"sequence":1}\n'.repeat(100)}`),
  part('attestations/build.1.json', '{}'),
  part('empty', ''),
  part('whole-block', 'b'.repeat(512)),
];
const limitBytes = 10_000;
const run = (program: string, ...argv: string[]) => execFileSync(program, argv, { encoding: 'utf8' });

describe('an archive', () => {
  it('has the same bytes for the same parts in any order, at any time', async () => {
    await writeArchive(file, parts);
    const again = join(folder, 'again.tar');
    await writeArchive(again, parts.toReversed());
    expect(readFileSync(again).equals(readFileSync(file))).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['again.tar', 'iter5.tar']);
  });

  it.each(['tar', 'bsdtar'])('is listed by %s, in order, without an owner', async (program) => {
    await writeArchive(file, parts);
    const names = parts.map(({ name }) => name).sort();
    expect(run(program, '-tf', file).trim().split('\n')).toEqual(names);
    const listed = run(program, '--numeric-owner', '-tvf', file);
    expect(listed.match(/^-rw-r--r--\s/gm)).toHaveLength(names.length);
    expect(listed).toMatch(/\s0[/\s]+0\s/);
    mkdirSync(join(folder, 'out'));
    run(program, '-xf', file, '-C', join(folder, 'out'));
    for (const { name, bytes } of parts)
      expect(readFileSync(join(folder, 'out', name)).equals(Buffer.from(bytes))).toBe(true);
  });

  it('returns each member, and undefined for one that it does not hold', async () => {
    await writeArchive(file, parts);
    for (const { name, bytes } of parts)
      expect((await readArchive(file, name, { limitBytes }))?.equals(Buffer.from(bytes))).toBe(true);
    expect(await readArchive(file, 'events', { limitBytes })).toBeUndefined();
  });

  it('can be empty', async () => {
    await writeArchive(file, []);
    expect(run('tar', '-tf', file)).toBe('');
    expect(await readArchive(file, 'report.md', { limitBytes })).toBeUndefined();
  });

  it('overwrites a file only when told to', async () => {
    writeFileSync(file, 'mine');
    await expect(writeArchive(file, parts)).rejects.toThrow(/is there already/);
    expect(readFileSync(file, 'utf8')).toBe('mine');
    await writeArchive(file, parts, { overwrite: true });
    expect(run('tar', '-tf', file)).toContain('report.md');
  });

  it('follows no link under its name', async () => {
    const victim = join(folder, 'victim');
    writeFileSync(victim, 'mine');
    symlinkSync(victim, `${file}.part`);
    await writeArchive(file, parts);
    symlinkSync(join(folder, 'nowhere'), join(folder, 'link.tar'));
    await expect(writeArchive(join(folder, 'link.tar'), parts)).rejects.toThrow(/is there already/);
    expect(readFileSync(victim, 'utf8')).toBe('mine');
    expect(existsSync(join(folder, 'nowhere'))).toBe(false);
  });

  it('leaves nothing behind if it can not be written', async () => {
    mkdirSync(file);
    await expect(writeArchive(file, parts, { overwrite: true })).rejects.toThrow(/EISDIR/);
    expect(readdirSync(folder)).toEqual(['iter5.tar']);
  });

  it.each([
    ['..', '../passwd'],
    ['an absolute name', '/etc/passwd'],
    ['an option', '-rf'],
    ['a control character', 'a\u001b[31m'],
    ['an empty name', ''],
    ['a long name', `${'a/'.repeat(50)}a`],
  ])('takes no part with %s for a name', async (_what, name) => {
    await expect(writeArchive(file, [part(name, 'x')])).rejects.toThrow(ArchiveFault);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('takes no two parts of one name', async () => {
    await expect(writeArchive(file, [part('a', '1'), part('b', '2'), part('a', '3')])).rejects.toThrow(
      /a twice/,
    );
  });
});

describe('an archive from anybody', () => {
  const refused = async (bytes: Uint8Array, member = 'report.md') => {
    writeFileSync(file, bytes);
    await expect(readArchive(file, member, { limitBytes })).rejects.toThrow(ArchiveFault);
  };
  const archived = async (...given: ArchivePart[]) => {
    const whole = join(folder, 'good.tar');
    await writeArchive(whole, given, { overwrite: true });
    return readFileSync(whole);
  };
  const end = Buffer.alloc(1024);
  /** Changes a field of the first header and corrects its checksum. */
  const withField = (archive: Buffer, at: number, value: string): Buffer => {
    const changed = Buffer.from(archive);
    changed.write(value, at, 'latin1');
    changed.fill(' ', 148, 156);
    const sum = changed.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    changed.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148);
    return changed;
  };

  it.each<[string, number, string]>([
    ['a hard link', 156, '1'],
    ['a symbolic link', 156, '2'],
    ['a device', 156, '3'],
    ['a folder', 156, '5'],
    ['a pipe', 156, '6'],
    ['an extended header', 156, 'x'],
    ['a long name of GNU tar', 156, 'L'],
    ['..', 0, '../x'],
    ['an absolute name', 0, '/tmp'],
    ['a leading -', 0, '-x'],
    ['an escape sequence for a name', 0, '\u001b[2J'],
    ['a prefix', 345, '..'],
    ['a set-uid mode', 100, '0004755'],
    ['a negative size', 124, '\u00ff\u00ff\u00ff\u00ff'],
    ['a size in base 256', 124, '\u0080'],
    ['a size that is no number', 124, 'x'],
    ['a size past its end', 124, '00000777777'],
    ['a size of eight gigabytes', 124, '77777777777'],
  ])('is refused with %s in it', async (_what, at, value) => {
    await refused(withField(await archived(part('report.md', 'text')), at, value));
  });

  it('is refused with a member twice, or out of order, or something behind its end', async () => {
    const one = (await archived(part('report.md', 'one'))).subarray(0, 1024);
    const other = (await archived(part('events.jsonl', 'x'))).subarray(0, 1024);
    await refused(Buffer.concat([one, one, end]));
    await refused(Buffer.concat([one, other, end]));
    await refused(Buffer.concat([one, end, one, end]));
    await refused(Buffer.concat([one, end, Buffer.alloc(512)]));
    await refused(one);
    await refused(Buffer.alloc(0));
    writeFileSync(file, Buffer.concat([other, one, end]));
    expect(String(await readArchive(file, 'report.md', { limitBytes }))).toBe('one');
  });

  it('is refused if tar made it, with its own headers', async () => {
    writeFileSync(join(folder, 'report.md'), 'text');
    run('tar', '-C', folder, '-cf', file, 'report.md');
    await expect(readArchive(file, 'report.md', { limitBytes })).rejects.toThrow(
      /byte 0 is not one that `ka export`/,
    );
  });

  it('is refused with a member that is too large, before it is read', async () => {
    const bytes = await archived(part('report.md', 'x'.repeat(limitBytes + 1)), part('small', 'x'));
    await refused(bytes);
    expect(String(await readArchive(file, 'small', { limitBytes }))).toBe('x');
  });

  it('is refused if it is a pipe or a folder, and nothing waits for it', async () => {
    run('mkfifo', file);
    await expect(readArchive(file, 'report.md', { limitBytes })).rejects.toThrow(/no plain file/);
    await expect(readArchive(folder, 'report.md', { limitBytes })).rejects.toThrow(/no plain file/);
  });

  it('is refused after any change of a byte but one within a member, and after any cut', async () => {
    const bytes = await archived(part('events.jsonl', 'x'.repeat(600)), part('report.md', 'text'));
    const isContent = (at: number) => (at >= 512 && at < 1112) || (at >= 2048 && at < 2052);
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        fc.pre(!isContent(at));
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ flip;
        await refused(changed);
        await refused(bytes.subarray(0, at));
      }),
      { numRuns: 200 },
    );
  });
});
