import { describe, expect, it } from 'vitest';
import type { StepEvidence } from '../../schemas/steps.ts';
import { badEvidence, goodEvidence } from '../testing/example-evidence.ts';
import { examplePlan } from '../testing/example-plan.ts';
import {
  approved,
  did,
  failed,
  type Happening,
  historyOf,
  started,
  succeeded,
  timedOut,
  until,
  waive,
} from '../testing/history.ts';
import { closeDocument, closeNote } from './close-document.ts';

const settled: Happening = (history) => history.settle();
const documentOf = (...happenings: Happening[]) =>
  closeDocument(historyOf(...happenings, settled).iteration());

/** The text of one section. */
const sectionOf = (text: string, title: string) => text.split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? '';

describe('the close document of an iteration that closed', () => {
  const iteration = historyOf(...until('close'), settled).iteration();
  const text = closeDocument(iteration);

  it('has every clause with its verdict and events', () => {
    for (const { id } of iteration.plan.clauses)
      expect(sectionOf(text, 'Clauses')).toMatch(
        new RegExp(`\\| ${id} \\| PASS \\| .* \\| \\d+(, \\d+)* \\|`),
      );
    expect(text).toMatch(/^Closed at 2026-05-11T/m);
  });

  it('has the patches, where they landed, and what the manifest includes', () => {
    expect(sectionOf(text, 'Patches')).toMatch(/0001-helper\.patch \| A \\<a@example\.org> \| \+1 −0/);
    expect(sectionOf(text, 'Patches')).toMatch(
      /- packages, main: `[0-9a-f]{40}` \(arch\/linux-fourier\/PKGBUILD\)/,
    );
    expect(sectionOf(text, 'Manifest')).toMatch(/had 1 includes and has 3/);
  });

  it('has each package with its whole hash', () => {
    for (const { file, sha256 } of goodEvidence(iteration, 'build').packages)
      expect(sectionOf(text, 'Artifacts')).toContain(`| ${file} | 1000 | \`${sha256}\` |`);
  });

  it('has the symbol table, with the symbols that the series uses and the plan does not list', () => {
    const used = succeeded('preflight', (iteration) => {
      const evidence = goodEvidence(iteration, 'preflight');
      const unlisted = {
        symbol: 'dma_resv_reserve_fences',
        listed: false,
        usedBy: ['0001-helper.patch'],
        hits: 40,
        definedIn: 'drivers/dma-buf/dma-resv.c:180',
        exported: true,
        status: 'found' as const,
      };
      return { ...evidence, symbols: [...evidence.symbols, unlisted] };
    });
    const table = sectionOf(documentOf(started(), used), 'Symbols');
    expect(table).toContain('The plan lists 1. The series uses 1 that it does not list, 0 of them its own.');
    expect(table).toContain('Exported by the baseline, used and not listed: `dma_resv_reserve_fences`.');
    expect(table).toContain(
      '| dma_resv_reserve_fences | no | 0001 | 40 | drivers/dma-buf/dma-resv.c:180 | yes | found |',
    );
    expect(sectionOf(text, 'Symbols')).toContain('| dma_fence_init | yes | – | 6 |');
  });

  it('has the times of the earlier builds in the worktree', () => {
    const first = { commit: 'a'.repeat(40), seconds: 300, compiled: 1065 };
    const last = { commit: 'b'.repeat(40), seconds: 40 };
    const built = (before: NonNullable<StepEvidence<'build'>['before']>) =>
      sectionOf(
        documentOf(
          ...until('build'),
          succeeded('build', (at) => ({ ...goodEvidence(at, 'build'), compiled: 3, before })),
        ),
        'Artifacts',
      );
    const all = built({ last, first });
    expect(all).toMatch(/in 31 min 40 s, 3 files compiled: 4 of 100 source files had changed/);
    expect(all).toContain(
      `| the first, with nothing there | \`${first.commit}\` | 5 min 00 s, 1065 files compiled |`,
    );
    expect(all).toContain(`| the one before | \`${last.commit}\` | 40 s |`);
    expect(all).toMatch(/\| this one \| `[0-9a-f]{40}` \| 31 min 40 s, 3 files compiled \|/);
    expect(built({ last: first, first })).not.toContain('the one before');
    expect(sectionOf(text, 'Artifacts')).not.toContain('this one');
  });

  it('has the matrix before and after', () => {
    const matrix = sectionOf(text, 'Sweep');
    expect(matrix).toMatch(/Before: \*\*1 of 2\*\* on 7\.0-1/);
    expect(matrix).toMatch(/After: \*\*2 of 2\*\* on 7\.0-2/);
    expect(matrix).toMatch(/no: libva = kernel-direct does not hold/);
    expect(matrix).toContain('mpeg2: The hardware rounds in its own way.');
  });

  it('has durations beside the predicted ones, and who approved', () => {
    expect(sectionOf(text, 'Durations')).toContain('| build | 1 | boltzmann | 1 min 00 s | 45 min 00 s |');
    expect(sectionOf(text, 'Approvals')).toMatch(
      /- architect approved series tree `[0-9a-f]{12}`, packaging tree `[0-9a-f]{12}`, .* at .*: read it/,
    );
  });

  it('has the risks that came up and those that did not', () => {
    expect(sectionOf(text, 'Risks')).toContain('| boltzmann is offline | no | fermi builds |');
  });

  it('changes the scoreboard', () => {
    expect(sectionOf(text, 'Scoreboard')).toContain('5 direct (was 4 direct); 2 of 2 rows as expected');
    expect(closeNote(iteration, 'The blocker is gone.\n')).toMatch(
      /^The blocker is gone\.\n\nRecorded by iter5, plan `/,
    );
  });
});

describe('the document of an iteration that failed', () => {
  it('says where to go back to, and leaves the scoreboard alone', () => {
    const bad = succeeded('sweep', (iteration) => badEvidence(iteration, 'sweep'));
    const text = documentOf(...until('sweep'), bad, succeeded('rollback'));
    expect(text).toMatch(/^Failed at .*: sweep: C11: h264: libva = kernel-direct does not hold/m);
    expect(sectionOf(text, 'Where to go back to')).toContain('phase 0');
    expect(sectionOf(text, 'Risks')).toMatch(/The caches are at fault \| C11: h264/);
    expect(sectionOf(text, 'Scoreboard')).toContain('4 direct (unchanged)');
  });

  it('does not change the scoreboard after a sweep whose record failed', () => {
    const text = documentOf(...until('record'), settled, failed('record'));
    expect(sectionOf(text, 'Scoreboard')).toContain('4 direct (unchanged)');
  });

  it('names the builder that took over, and a time-out only if there was one', () => {
    const loaded = examplePlan((plan) => {
      plan.risks.push({
        id: 'slow',
        risk: 'A step hangs',
        probability: 'low',
        impact: 'low',
        answer: 'wait',
        seen: 'step-timed-out',
      });
    });
    const way = [started(loaded), timedOut('preflight'), succeeded('preflight'), ...approved, settled];
    const late = sectionOf(documentOf(...way), 'Risks');
    expect(late).toContain('fermi took over from boltzmann');
    expect(late).toContain(
      '| A step hangs | boltzmann: boltzmann has been silent for 61 s, its grace is 60 s |',
    );
    const ended = [started(loaded), succeeded('preflight'), ...approved, settled, failed('backup')];
    expect(sectionOf(documentOf(...ended), 'Risks')).toContain('| A step hangs | no |');
  });
});

it('the document of a running iteration shows what has not happened yet, and names a waiver', () => {
  const text = documentOf(...until('land'), did(waive('C7')));
  expect(text).toContain('Under way; what is missing below has not happened yet.');
  expect(sectionOf(text, 'Artifacts')).toContain('Nothing in the log yet.');
  expect(sectionOf(text, 'Clauses')).toMatch(/\| C7 \| WAIVED \|/);
  expect(sectionOf(text, 'Approvals')).toContain('- mfritsche waived C7: known');
});
