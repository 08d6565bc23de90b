import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { patchOf, patchText } from '../../schemas/plan.ts';
import { exampleFleet, examplePatches, examplePlanYaml } from '../testing/example-plan.ts';
import { loadPlan, PlanFaults } from './plan-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plan-'));
  mkdirSync(join(folder, 'patches'));
  for (const [file, text] of Object.entries(examplePatches)) patch(file, text);
});
afterEach(() => rmSync(folder, { recursive: true }));

const patch = (file: string, text: string | Uint8Array) => writeFileSync(join(folder, 'patches', file), text);

const written = (text: string): string => {
  const file = join(folder, 'plan.yaml');
  writeFileSync(file, text);
  return file;
};

/** The faults of the example plan with these texts replaced, `plan.yaml:` for the file's own path. */
const faultsOf = (...replacements: readonly (readonly [string, string])[]): string[] => {
  const text = replacements.reduce((before, [from, to]) => {
    expect(before).toContain(from);
    return before.replace(from, to);
  }, examplePlanYaml);
  try {
    loadPlan(written(text), exampleFleet);
    return [];
  } catch (error) {
    if (!(error instanceof PlanFaults)) throw error;
    return error.faults.map((fault) => fault.replace(`${folder}/`, ''));
  }
};

/** The place of a text in the example plan: `plan.yaml:line:column`. */
const at = (text: string, nth = 1): string => {
  let offset = -1;
  for (let found = 0; found < nth; found += 1) offset = examplePlanYaml.indexOf(text, offset + 1);
  const before = examplePlanYaml.slice(0, offset).split('\n');
  return `plan.yaml:${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
};

describe('a good plan', () => {
  it('is loaded with its patches, byte for byte', () => {
    const { plan, series } = loadPlan(written(examplePlanYaml), exampleFleet);
    expect(plan.iteration).toBe('iter5');
    expect(series).toEqual(
      Object.entries(examplePatches).map(([file, text]) => patchOf(file, Buffer.from(text))),
    );
  });

  it('has a hash that any change of the plan or a patch changes', () => {
    const first = loadPlan(written(examplePlanYaml)).planSha256;
    expect(loadPlan(written(examplePlanYaml)).planSha256).toBe(first);
    expect(loadPlan(written(`${examplePlanYaml}# a comment\n`)).planSha256).not.toBe(first);
    patch('0002-rkvdec.patch', `${examplePatches['0002-rkvdec.patch']}\n`);
    expect(loadPlan(written(examplePlanYaml)).planSha256).not.toBe(first);
  });

  it('keeps a byte order mark of a patch, which is part of its hash', () => {
    const text = `\uFEFF${examplePatches['0001-helper.patch']}`;
    patch('0001-helper.patch', text);
    const [first] = loadPlan(written(examplePlanYaml)).series;
    expect(first && patchText(first)).toBe(text);
  });
});

describe('a bad plan', () => {
  it('has an unknown key', () => {
    expect(faultsOf(['title:', 'titel: x\ntitle:'])).toEqual(['plan.yaml:2:1: unknown key "titel"']);
    expect(faultsOf(['  tag: v7.0', '  tag: v7.0\n  tagg: v7.0'])).toEqual([
      'plan.yaml:11:3: unknown key "tagg" in baseline',
    ]);
  });

  it('names a patch file that is not there', () => {
    rmSync(join(folder, 'patches', '0002-rkvdec.patch'));
    expect(faultsOf()).toEqual([
      `${at('0002-rkvdec.patch')}: patch 0002-rkvdec.patch: there is no patches/0002-rkvdec.patch`,
    ]);
  });

  it('has a duplicate clause', () => {
    expect(faultsOf(['id: C2\n', 'id: C1\n'])).toEqual([`${at('C2\n')}: duplicate clause C1`]);
  });

  it('names an unknown host, or one in another role', () => {
    expect(faultsOf(['publisher: hertz', 'publisher: herz'])).toEqual([
      `${at('hertz')}: unknown host "herz"; the fleet reauktion has boltzmann, fermi, hertz, fresnel, ohm`,
    ]);
    expect(faultsOf(['board: fresnel', 'board: fermi'])).toEqual([
      `${at('fresnel')}: fermi is a builder, not a board`,
    ]);
  });

  it('has a clause that is bound to no evidence', () => {
    expect(faultsOf(['check: symbols-found', 'check: looks-good'])).toEqual([
      `${at('symbols-found')}: clauses[C3].proof[1].check is no check that looks at evidence`,
    ]);
    expect(faultsOf(['proof: [{ check: manifest-includes }]', 'proof: []'])).toEqual([
      `${at('proof: [{ check: manifest')}: clauses[C5].proof: a clause needs at least one check on evidence`,
    ]);
    expect(faultsOf(['    proof: [{ check: manifest-includes }]\n', ''])).toEqual([
      `${at('id: C5')}: clauses[C5].proof is missing`,
    ]);
    expect(faultsOf(['patch: 0002-rkvdec.patch, uses', 'patch: 0003-rga.patch, uses'])).toEqual([
      `${at('0002-rkvdec.patch, uses')}: C2 is bound to 0003-rga.patch, which is not in the series: no evidence of it`,
    ]);
    expect(faultsOf(['by: [architect]', 'by: [architect, mallory]'])).toEqual([
      `plan.yaml:${at('by: [architect]').split(':')[1]}:48: C12 is bound to the approval of mallory, which the review does not ask for`,
    ]);
    expect(faultsOf(['{ check: recorded }', '{ check: recorded, file: other.md }'])).toEqual([
      expect.stringMatching(/: C12 is bound to other.md, which the close does not record$/),
    ]);
  });

  it.each([
    ['', 'is empty: it holds no diff'],
    ['From: A <a@example.org>\nSubject: nothing\n\n---\n-- \n2.39\n', 'is empty: it holds no diff'],
    ['--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n', 'touches ../x, which is outside the tree'],
    ['--- a/x\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n', 'touches /etc/passwd, which is outside the tree'],
    [
      '--- a/.git/config\n+++ b/.git/config\n@@ -1 +1 @@\n-a\n+b\n',
      'touches .git/config, which is outside the tree',
    ],
    ['diff --git a/x b/../y\nrename from x\nrename to ../y\n', 'touches ../y, which is outside the tree'],
    [
      'diff --git a/../x b/../x\nold mode 100644\nnew mode 100755\n',
      'touches ../x, which is outside the tree',
    ],
  ])('has a patch %j, which %s', (text, fault) => {
    patch('0001-helper.patch', text);
    expect(faultsOf()).toEqual([`${at('0001-helper.patch')}: patch 0001-helper.patch ${fault}`]);
  });

  it('is not a plan whose patch only holds a line that looks like a header', () => {
    patch('0001-helper.patch', '--- a/x.lua\n+++ b/x.lua\n@@ -1,2 +1,2 @@\n--- ../a\n+++ /b\n same\n');
    expect(faultsOf()).toEqual([]);
  });

  it('has a patch that is no text', () => {
    patch('0001-helper.patch', new Uint8Array([0xff, 0xfe, 0x00]));
    expect(faultsOf()[0]).toMatch(`${at('0001-helper.patch')}: patch 0001-helper.patch: can't be read`);
  });

  it('expects a comparison with an unknown path, or gives no reason for a difference', () => {
    expect(faultsOf(['[libva = kernel-direct, libva = software]', '[libva = gpu]'])).toEqual([
      `${at('libva = kernel-direct, libva = software')}: unknown path "gpu"; the sweep has libva, kernel-direct, software`,
    ]);
    expect(faultsOf(['      because: The hardware rounds in its own way.\n', ''])).toEqual([
      `${at('name: mpeg2')}: row mpeg2 expects a difference and gives no "because"`,
    ]);
  });

  it('asks nobody for a review', () => {
    const approvals = /^ *approvals: .*$/m.exec(examplePlanYaml)?.[0] ?? '';
    expect(faultsOf([approvals, approvals.replace(/\[.*/, '[]')])).toContainEqual(
      expect.stringMatching(/nobody is asked for a review/),
    );
  });

  it('has the name of a command', () => {
    expect(faultsOf(['iteration: iter5', 'iteration: restore'])).toEqual([
      expect.stringMatching(/"restore" is what `ka log restore` is called/),
    ]);
  });

  it('does not change the version', () => {
    expect(faultsOf(['to: 7.0-2', 'to: 7.0-1'])).toEqual([
      `${at('7.0-2')}: the package goes from 7.0-1 to itself: raise the pkgrel`,
    ]);
    expect(faultsOf(['to: 7.0-2', 'to: 7.0-2\n  installed: 7.0-2'])).toEqual([
      expect.stringMatching(/:14: the board has 7\.0-2 already: raise the pkgrel$/),
    ]);
  });

  it('shows all its faults at once, those of the schema and those of its rules', () => {
    patch('0001-helper.patch', '');
    expect(
      faultsOf(
        ['publisher: hertz', 'publisher: herz'],
        ['symbols: [', 'symbol: ['],
        ['commit: 028ef9c96e96197026887c0f092424679298aae8', 'commit: v7.0'],
        ['id: C2\n', 'id: C1\n'],
        ['check: symbols-found', 'check: looks-good'],
      ).map((fault) => fault.replace(/^plan.yaml:(\d+):\d+: /, '$1 ')),
    ).toEqual([
      '1 symbols is missing',
      expect.stringMatching(/^6 unknown host "herz"/),
      '11 baseline.commit must be 40 hexadecimal digits (a full git object id)',
      '16 patch 0001-helper.patch is empty: it holds no diff',
      '18 unknown key "symbol"',
      '56 duplicate clause C1',
      '62 clauses[C3].proof[1].check is no check that looks at evidence',
    ]);
  });

  it('is broken YAML, or not there', () => {
    expect(faultsOf(['builders: [boltzmann, fermi]', 'builders: [boltzmann, fermi'])[0]).toMatch(
      /^plan\.yaml:[67]:\d+: /,
    );
    expect(() => loadPlan(join(folder, 'other.yaml'))).toThrow(/other\.yaml:1:1: there is no such file/);
  });

  it('names people and hosts with the name of a member that every object has', () => {
    expect(
      faultsOf(
        ['approvals: [mfritsche, architect]', 'approvals: [constructor, architect]'],
        ['publisher: hertz', 'publisher: constructor'],
      ),
    ).toEqual(
      expect.arrayContaining([
        expect.stringContaining('unknown host "constructor"'),
        expect.stringContaining('unknown person "constructor"'),
      ]),
    );
  });

  it('names a device, a pipe or a patch of 100 MB, none of which is read', () => {
    expect(() => loadPlan('/dev/zero')).toThrow('/dev/zero:1:1: is no plain file');
    const pipe = join(folder, 'pipe.yaml');
    execFileSync('mkfifo', [pipe]);
    expect(() => loadPlan(pipe)).toThrow('is no plain file');
    truncateSync(join(folder, 'patches', '0001-helper.patch'), 100_000_000);
    expect(faultsOf(['title: ', 'title: x'])).toEqual([
      expect.stringContaining('patch 0001-helper.patch: has 100000000 bytes, at most 8388608 are read'),
    ]);
  });
});
