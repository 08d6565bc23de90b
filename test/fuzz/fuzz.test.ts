import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pureTarget } from './fuzz-target.ts';
import { hostileText } from './hostile.ts';
import { freeTexts, requestStrings } from './requests.ts';
import { runTarget } from './run-target.ts';
import { targets } from './targets.ts';

/** Only a few, so that the quick suite stays quick: ./ka test fuzz runs a hundred thousand. */
const casesOf = (name: string): number => (name === 'archives' ? 3 : name === 'oversized' ? 10 : 60);

describe('hostile input', () => {
  it.each(targets.map((target) => [target.name, target] as const))(
    'has no effect but a refusal, among %s',
    async (name, target) => {
      const { broken, cases } = await runTarget(target, { seed: 20_260_511, cases: casesOf(name) });
      expect(broken, `./ka test fuzz --target ${name}`).toBeUndefined();
      expect(cases).toBe(casesOf(name));
    },
  );

  it('finds free text in requests only where it is listed, and names everywhere else', () => {
    const free = requestStrings().filter(({ pattern }) => pattern === undefined);
    expect(new Set(free.map(({ path }) => path))).toEqual(freeTexts);
  });
});

describe('the fuzzer', () => {
  const target = (hold: (text: string) => void) => pureTarget('own', 1, () => ({ input: hostileText, hold }));

  it('finds an effect, a polluted prototype and an error', async () => {
    const { broken: effect } = await runTarget(
      target(() => void spawnSync('true')),
      { seed: 1, cases: 5 },
    );
    expect(effect?.how).toContain('spawnSync true');
    const { broken: connected } = await runTarget(
      target(() => void connect(1).on('error', () => undefined)),
      { seed: 1, cases: 5 },
    );
    expect(connected?.how).toContain('connect');
    const { broken: written } = await runTarget(
      target(() => writeFileSync(join(tmpdir(), 'ka-fuzz-never'), '')),
      { seed: 1, cases: 5 },
    );
    expect(written?.how).toContain('ka-fuzz-never');
    const shared = Object.prototype as { polluted?: boolean };
    const { broken: polluted } = await runTarget(
      target(() => {
        shared.polluted = true;
      }),
      { seed: 1, cases: 5 },
    );
    delete shared.polluted;
    expect(polluted?.how).toContain('polluted');
  });

  it('finds the same again from the same seed, as small as possible', async () => {
    const tooLong = target((text) => {
      if (text.includes('..')) throw new Error('it leads up');
    });
    const first = await runTarget(tooLong, { seed: 7, cases: 1000 });
    const second = await runTarget(tooLong, { seed: 7, cases: 1000 });
    expect(first.broken?.how).toContain('it leads up');
    expect(second.broken?.input).toBe(first.broken?.input);
  });
});
