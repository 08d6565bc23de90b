import { describe, expect } from 'vitest';
import { junitOf } from '../../coordinator/export/junit.ts';
import { ktapOf } from '../../coordinator/export/ktap.ts';
import { closeDocument } from '../../coordinator/reading/close-document.ts';
import { eventLine } from '../../coordinator/reading/event-line.ts';
import { goodEvidence } from '../../coordinator/testing/example-evidence.ts';
import { did, type Happening, historyOf, started, succeeded } from '../../coordinator/testing/history.ts';
import { Boot } from '../../schemas/boot.ts';
import type { StepName } from '../../schemas/step-names.ts';
import { type StepEvidence, steps } from '../../schemas/steps.ts';
import { attack } from './attack.ts';

/** Ends a line, a cell and a span of code, and goes on with a section, a table's row, HTML, XML and an escape sequence. */
const forgery =
  'x` | y |\n\n## Clauses\n\n| C1 | PASS | forged | 1 |\n\n<img src=x> ]]>"\'&lt;\r\nok 1 forged\u001b[2K\u202e**b** [a](b)';

/** Evidence with the forgery in the place of each text in which its schema accepts it. */
const forged = <Name extends StepName>(name: Name, evidence: StepEvidence<Name>): StepEvidence<Name> => {
  const { evidence: schema } = steps[name];
  let current: unknown = structuredClone(evidence);
  const paths: (string | number)[][] = [];
  const walk = (value: unknown, path: (string | number)[]): void => {
    if (typeof value === 'string') paths.push(path);
    else if (typeof value === 'object' && value !== null)
      for (const [key, inner] of Object.entries(value)) walk(inner, [...path, key]);
  };
  walk(current, []);
  for (const path of paths) {
    const tried = structuredClone(current);
    let at = tried as Record<string | number, unknown>;
    for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>;
    at[path.at(-1) ?? ''] = forgery;
    if (schema.safeParse(tried).success) current = tried;
  }
  return current as StepEvidence<Name>;
};

const forges = <Name extends StepName>(name: Name): Happening =>
  succeeded(name, (iteration) => forged(name, goodEvidence(iteration, name)));
const note = (by: string) =>
  did({ do: 'Approve', iteration: 'iter5', by, note: forgery, expires: '2099-01-01T00:00:00Z' });

/** The document's lines without its spans of code, whose content is shown as it is. */
const withoutCode = (text: string) =>
  text.split('\n').map((line) => line.replaceAll(/(?<![`\\])(`+)(?!`)(?:.*?[^`])??\1(?!`)/g, 'code'));

const titles = [
  ...['Clauses', 'Patches', 'Symbols', 'Manifest', 'Artifacts', 'Sweep', 'Durations'],
  ...['Approvals', 'Risks', 'Scoreboard'],
];

/** Iterations in which one party forges what it can; each goes on as the decider wants after that. */
const histories: Record<string, Happening[]> = {
  'the builder, in preflight': [started(), succeeded('keycheck'), forges('preflight')],
  'an approver': [
    started(),
    succeeded('keycheck'),
    succeeded('preflight'),
    note('mfritsche'),
    note('architect'),
  ],
};
const honest = [
  started(),
  succeeded('keycheck'),
  succeeded('preflight'),
  note('mfritsche'),
  note('architect'),
];
for (const name of ['presweep', 'backup'] as const)
  histories[`the board, in ${name}`] = [...honest, forges(name)];
const later = ['land', 'build', 'publish', 'stage', 'install', 'reboot', 'sweep'] as const;
for (const [at, name] of later.entries())
  histories[`a host, in ${name}`] = [
    ...honest,
    ...(['presweep', 'backup', ...later.slice(0, at)] as const).map((before) => succeeded(before)),
    forges(name),
  ];

describe('a document about what others have written', () => {
  for (const [who, happenings] of Object.entries(histories))
    attack('forged-document', `${who}: each text is one line of text, in each format`, () => {
      const history = historyOf(...happenings);
      const iteration = history.iteration();
      const text = closeDocument(iteration);
      const lines = withoutCode(text);
      const headings = lines.flatMap((line) => /^ {0,3}#+ (.*)/.exec(line)?.[1] ?? []);
      expect(headings.slice(1).filter((heading) => heading !== 'Where to go back to')).toEqual(titles);
      expect(lines.filter((line) => line.startsWith('| C1 | PASS | forged'))).toEqual([]);
      expect(lines.filter((line) => /(?<!\\)(<img|\*\*b|\[a\])/.test(line))).toEqual([]);
      const shown = [
        text,
        junitOf(iteration),
        ktapOf(iteration),
        ...history.events.map(({ event }) => eventLine(event)),
      ];
      for (const each of shown) {
        expect(/\p{Cf}|\p{Cc}/u.exec(each.replaceAll('\n', ''))?.[0]).toBeUndefined();
        expect(each).not.toMatch(/^ok 1 forged/m);
      }
      expect(junitOf(iteration)).not.toMatch(/<img|&lt;(?=\r)/);
    });

  attack('forged-document', 'a release is a name', () => {
    const boot = { bootId: 'b', release: forgery, procVersion: 'Linux version 7.0' };
    expect(Boot.safeParse(boot).success).toBe(false);
  });
});
