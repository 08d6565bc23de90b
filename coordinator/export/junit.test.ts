import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { convert } from 'xmlbuilder2';
import { junitOf } from './junit.ts';
import { brokenWith, hostileTexts, iterations } from './testdata/iterations.ts';

const schema = join(import.meta.dirname, 'testdata/junit.xsd');
const scratch = mkdtempSync(join(tmpdir(), 'ka-junit-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const written = (documents: readonly string[]): string[] =>
  documents.map((text, index) => {
    const file = join(scratch, `${index}.xml`);
    writeFileSync(file, text);
    return file;
  });

interface Case {
  '@name': string;
  '@classname': string;
  failure?: { '@type': string; '@message': string };
  error?: { '@type': string; '@message': string };
  skipped?: { '@type': string; '@message': string };
}

const suiteOf = (name: keyof typeof iterations) => {
  const iteration = iterations[name];
  if (!iteration) throw new Error(`no iteration ${name}`);
  const { testsuites } = convert(junitOf(iteration), { format: 'object' }) as unknown as {
    testsuites: { testsuite: Record<string, string> & { testcase: Case[] } };
  };
  return testsuites.testsuite;
};

const casesOf = (name: keyof typeof iterations, row: string) =>
  Object.fromEntries(
    suiteOf(name)
      .testcase.filter((one) => one['@classname'] === `iter5.sweep.${row}`)
      .map(({ '@name': path, failure, error, skipped }) => [
        path,
        failure
          ? `failure ${failure['@type']}`
          : error
            ? `error ${error['@type']}`
            : skipped
              ? 'skipped'
              : 'passed',
      ]),
  );

describe('a sweep as JUnit XML', () => {
  it('is valid by the schema, whatever the sweep’s result and whatever text a board reports', () => {
    const documents = [
      ...Object.values(iterations).flatMap((each) => [junitOf(each), junitOf(each, 'presweep')]),
      ...hostileTexts.map((text) => junitOf(brokenWith(text))),
    ];
    execFileSync('xmllint', ['--nonet', '--noout', '--schema', schema, ...written(documents)], {
      stdio: 'pipe',
    });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the test looks for them
    const control = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e\u2028\ufffe]/;
    for (const document of documents) expect(document).not.toMatch(control);
  });

  it('has another outcome for FAIL, ERROR, MISS and SKIP, and counts them', () => {
    expect(casesOf('fail and miss', 'h264')).toEqual({
      libva: 'passed',
      'kernel-direct': 'passed',
      software: 'passed',
      'libva = kernel-direct': 'passed',
      'libva = software': 'failure FAIL',
    });
    expect(casesOf('fail and miss', 'mpeg2')).toMatchObject({
      software: 'error MISS',
      'libva != software': 'error MISS',
    });
    expect(casesOf('error', 'h264')).toMatchObject({
      libva: 'error ERROR',
      'libva = software': 'error ERROR',
    });
    expect(casesOf('two paths compared', 'h264')).toMatchObject({ libva: 'passed', software: 'skipped' });
    expect(suiteOf('fail and miss')).toMatchObject({
      '@tests': '10',
      '@failures': '1',
      '@errors': '2',
      '@skipped': '0',
    });
  });

  it('never passes or skips what was not swept', () => {
    const { testcase, ...suite } = suiteOf('not swept yet');
    expect(testcase.every(({ error }) => error?.['@type'] === 'MISS')).toBe(true);
    expect(suite).toMatchObject({ '@tests': '10', '@errors': '10' });
    expect(suite).not.toHaveProperty('@timestamp');
  });

  it('keeps a board’s text as text', () => {
    const text = ']]></error><testcase name="faked"/>&amp;&#27;&unknown;<!--';
    const [file = ''] = written([junitOf(brokenWith(text))]);
    const message = execFileSync('xmllint', ['--xpath', 'string(//error[1]/@message)', file], {
      encoding: 'utf8',
    });
    expect(message.trim()).toBe(`libva broke: ${text}`);
  });
});

describe('the schema that the tests use', () => {
  const { closed } = iterations;
  const good = closed ? junitOf(closed) : '';

  it.each<[string, (text: string) => string]>([
    ['a case without a name', (text) => text.replace(/<testcase name="[^"]*"/, '<testcase')],
    ['an unknown attribute', (text) => text.replace('<testcase ', '<testcase verdict="MISS" ')],
    ['an unknown element', (text) => text.replace('<properties>', '<properties/><miss/><properties>')],
    ['a count that is no number', (text) => text.replace(/failures="\d+"/, 'failures="some"')],
    ['an invalid time', (text) => text.replace(/timestamp="[^"]*"/, 'timestamp="today"')],
  ])('refuses %s', (_name, change) => {
    expect(change(good)).not.toBe(good);
    const [file = ''] = written([change(good)]);
    const { status } = spawnSync('xmllint', ['--nonet', '--noout', '--schema', schema, file]);
    expect(status).toBe(3);
  });
});
