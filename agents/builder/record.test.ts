import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Run } from '../../host/run.ts';
import type { BuilderConfig } from '../../schemas/config.ts';
import { runStep } from '../../test/run-step.ts';
import type { Step } from '../runtime/step.ts';
import { record } from './record.ts';
import { gitIn, makeFleet, pushFiles, type TestFleet } from './testdata/repositories.ts';

let fleet: TestFleet;
beforeEach(async () => {
  fleet = await makeFleet();
});
afterEach(() => fleet.remove());

const rendered = (text: string) => ({ as: 'note', facts: '0'.repeat(64), text });

const request = {
  repository: 'kernel-agent',
  branch: 'main',
  title: 'close\n\nKa-Request: iter5/land/1/manifest',
  files: [
    { path: 'close.md', content: rendered('# Iteration 5: schließt\n') },
    { path: 'notes/a.md', content: rendered('a') },
  ],
  replacements: [],
};

describe('record', () => {
  it('commits every file at once, and shows what the remote holds', async () => {
    const folder = await fleet.runFolder();
    const { evidence } = await runStep('record', record, request, fleet.host, { folder });
    const log = (format: string) =>
      gitIn(fleet.paths['kernel-agent'], 'log', '-1', `--format=${format}`, 'main');
    expect(evidence.commit.commit).toBe(await log('%H'));
    expect(evidence.commit.parent).toBe(await log('%P'));
    expect(evidence.commit.files).toEqual(
      request.files.map(({ path, content }) => ({
        path,
        sha256: createHash('sha256').update(content.text).digest('hex'),
      })),
    );
    // A title can't pass for a trailer.
    expect(await log('%(trailers:key=Ka-Request,valueonly)')).toBe('iter5/record/1/campaign');
  });

  it('replaces one phrase of a file and keeps the rest', async () => {
    const board = '# Scoreboard\n\nfresnel: 4 direct\n\n| 4 | 4 direct |\n';
    const replacement = { path: 'scoreboard.md', before: '4 direct', after: '5 direct' };
    const asked = { ...request, replacements: [replacement] };
    await pushFiles(fleet.paths['kernel-agent'], { 'scoreboard.md': board });
    const { evidence } = await runStep('record', record, asked, fleet.host, {
      folder: await fleet.runFolder(),
    });
    expect(await gitIn(fleet.paths['kernel-agent'], 'show', 'main:scoreboard.md')).toBe(
      board.replace('4 direct', '5 direct').trimEnd(),
    );
    expect(evidence.commit.files.map(({ path }) => path)).toContain('scoreboard.md');
    const wrong = { ...request, replacements: [{ ...replacement, before: '6 direct', after: '7 direct' }] };
    await expect(
      runStep('record', record, wrong, fleet.host, { folder: await fleet.runFolder(), iteration: 'iter6' }),
    ).rejects.toThrow('scoreboard.md does not say "6 direct"');
  });

  it.each(['before', 'after'] as const)('killed %s the push, leaves one commit in the end', async (when) => {
    const folder = await fleet.runFolder();
    const killed: Step<'record', BuilderConfig> = (asked, context) => {
      const run: Run = async (argv, options) => {
        if (!argv.includes('push')) return context.run(argv, options);
        if (when === 'after') await context.run(argv, options);
        throw new Error('killed');
      };
      return record(asked, { ...context, run });
    };
    await expect(runStep('record', killed, request, fleet.host, { folder })).rejects.toThrow('killed');
    const { evidence } = await runStep('record', record, request, fleet.host, { folder });
    expect(evidence.commit.files).toHaveLength(2);
    expect(await gitIn(fleet.paths['kernel-agent'], 'rev-list', '--count', 'main')).toBe('2');
  });

  it('writes to no repository that its host does not name for it', async () => {
    const elsewhere = { ...request, repository: 'marfrit-packages' };
    await expect(
      runStep('record', record, elsewhere, fleet.host, { folder: await fleet.runFolder() }),
    ).rejects.toThrow(/records in kernel-agent, not in "marfrit-packages": add it to recordsIn/);
  });
});
