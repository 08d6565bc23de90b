import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { check } from 'recheck';
import ts from 'typescript';
import { expect } from 'vitest';
import { checkout } from '../../deploy/checkout.ts';
import { attack } from './attack.ts';

/** Files that make patterns of what somebody else wrote, and bound the steps: by them, or by the text's length. */
const bounded = [
  'agents/builder/pkgbuild/bash-word.ts',
  'agents/builder/pkgbuild/sed-script.ts',
  'agents/builder/series/find-symbols.ts',
];

interface Found {
  place: string;
  source: string;
  flags: string;
}

/** A pattern's text, with a letter in the place of each inserted name. */
const patternOf = (node: ts.Node): string | undefined => {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return undefined;
  return node.head.text + node.templateSpans.map(({ literal }) => `x${literal.text}`).join('');
};

/** The regular expressions of a source file: literals, and those that it makes of a text. */
const expressionsIn = (file: string, text: string): Found[] => {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true);
  const found: Found[] = [];
  const walk = (node: ts.Node): void => {
    const place = () => `${file}:${source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1}`;
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf('/');
      found.push({ place: place(), source: node.text.slice(1, end), flags: node.text.slice(end + 1) });
    } else if (
      ts.isNewExpression(node) &&
      node.expression.getText(source) === 'RegExp' &&
      !bounded.includes(file)
    ) {
      const [pattern, flags] = node.arguments ?? [];
      const made = pattern && patternOf(pattern);
      if (made === undefined) throw new Error(`${place()} makes a pattern that can't be checked`);
      found.push({
        place: place(),
        source: made,
        flags: flags && ts.isStringLiteral(flags) ? flags.text : '',
      });
    }
    ts.forEachChild(node, walk);
  };
  walk(source);
  return found;
};

const sources = ['schemas', 'eventlog', 'host', 'agents', 'coordinator', 'deploy'].flatMap((folder) =>
  readdirSync(join(checkout, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|mjs)$/.test(name) && !/\.test\.ts$|(^|\/)(testdata|testing)\//.test(name))
    .map((name) => `${folder}/${name}`),
);
const expressions = sources.flatMap((file) =>
  expressionsIn(file, readFileSync(join(checkout, file), 'utf8')),
);

/** The worst case of each expression that is not linear, with a text that shows it. recheck counts steps, not time. */
const slowOnes = async (): Promise<string[]> => {
  const different = new Map(expressions.map((each) => [`/${each.source}/${each.flags}`, each]));
  const slow: string[] = [];
  const left = [...different];
  const worker = async () => {
    for (let next = left.pop(); next; next = left.pop()) {
      const [text, { place, source, flags }] = next;
      const verdict = await check(source, flags, { timeout: 3_000 });
      if (verdict.status === 'vulnerable')
        slow.push(`${place}: ${text} takes ${verdict.complexity.summary} for ${verdict.attack.pattern}`);
    }
  };
  await Promise.all([worker(), worker()]);
  return slow.sort();
};

attack(
  'slow-expression',
  'no regular expression takes more than linear work, whatever text it is given',
  async () => {
    expect(expressions.length).toBeGreaterThan(250);
    expect(await slowOnes()).toEqual([]);
  },
  150_000,
);
