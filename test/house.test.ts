import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { checkout } from '../deploy/checkout.ts';

/** The top-level folders, and those that each may import. */
const floors: Readonly<Record<string, readonly string[]>> = {
  schemas: [],
  eventlog: ['schemas'],
  host: ['schemas', 'eventlog'],
  agents: ['schemas', 'eventlog', 'host'],
  coordinator: ['schemas', 'eventlog', 'host'],
  deploy: ['schemas', 'eventlog', 'host', 'agents', 'coordinator'],
};

/** Folders that may not import one another. Code that they share has its own folder. */
const walls: readonly { rooms: readonly string[]; from: readonly string[] }[] = [
  { rooms: ['agents/board'], from: ['agents/builder', 'agents/publisher'] },
  { rooms: ['deploy/sandbox'], from: ['deploy/lab', 'deploy/enrol', 'deploy/commands'] },
  { rooms: ['deploy/lab'], from: ['deploy/sandbox', 'deploy/enrol', 'deploy/commands'] },
  {
    rooms: ['deploy/enrol'],
    from: ['deploy/sandbox', 'deploy/lab', 'deploy/local-fleet', 'deploy/examples', 'deploy/commands'],
  },
  {
    rooms: ['cache', 'examples', 'local-fleet', 'places', 'processes', 'systemd'].map(
      (name) => `deploy/${name}`,
    ),
    from: ['deploy/sandbox', 'deploy/lab', 'deploy/enrol', 'deploy/commands'],
  },
];

// The lists below hold the remaining violations. They may only shrink: a repaired one has to be removed.

/** Files that import one another in a circle, types included. */
const circlesLeft: string[] = [];

const longestFunction = 70;
/** Functions outside tests that are longer, each as `file:outer.inner`. */
const longFunctions: string[] = [];

const isTest = (file: string): boolean =>
  /\.test\.ts$|(^|\/)(testdata|testing)\//.test(file) || file.startsWith('test/');

const files = [...Object.keys(floors), 'test'].flatMap((folder) =>
  readdirSync(join(checkout, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|mjs)$/.test(name))
    .map((name) => posix.join(folder, name)),
);
const texts = new Map(files.map((file) => [file, readFileSync(join(checkout, file), 'utf8')]));
const sources = [...texts].filter(([file]) => !isTest(file));

/** What each file imports, types included: files by their path from the checkout's root, packages by their name. */
const imports = new Map(
  [...texts].map(([file, text]) => [
    file,
    ts
      .preProcessFile(text)
      .importedFiles.map(({ fileName }) =>
        fileName.startsWith('.') ? posix.join(dirname(file), fileName) : fileName,
      ),
  ]),
);

const isIn = (folders: readonly string[], file: string): boolean =>
  folders.some((folder) => file.startsWith(`${folder}/`));

/** `file: import` for each import of a source file that is not allowed. */
const importsThat = (isRefused: (file: string, imported: string) => boolean): string[] =>
  sources
    .flatMap(([file]) =>
      (imports.get(file) ?? [])
        .filter((imported) => isRefused(file, imported))
        .map((imported) => `${file}: ${imported}`),
    )
    .sort();

/** The files of each circle of imports, by Tarjan's algorithm for strongly connected components. */
const circles = (): string[] => {
  const found: string[] = [];
  const open: string[] = [];
  const order = new Map<string, number>();
  const isOpen = new Set<string>();
  /** Returns the place in `order` of the earliest open file that can be reached from this one. */
  const visit = (file: string): number => {
    const own = order.size;
    let earliest = own;
    order.set(file, own);
    open.push(file);
    isOpen.add(file);
    for (const next of imports.get(file) ?? []) {
      if (!texts.has(next)) continue;
      const seen = order.get(next);
      if (seen === undefined) earliest = Math.min(earliest, visit(next));
      else if (isOpen.has(next)) earliest = Math.min(earliest, seen);
    }
    if (earliest === own) {
      const circle = open.splice(open.indexOf(file));
      for (const each of circle) isOpen.delete(each);
      if (circle.length > 1) found.push(circle.sort().join(' '));
    }
    return earliest;
  };
  for (const file of files) if (!order.has(file)) visit(file);
  return found.sort();
};

/** A function's own name, or the name to which it is bound; `(anonymous)` for an argument. */
const ownName = (node: ts.SignatureDeclaration, source: ts.SourceFile): string => {
  const { parent } = node;
  const isBound =
    ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent) || ts.isPropertyDeclaration(parent);
  const name = node.name ?? (isBound ? parent.name : undefined);
  return name?.getText(source) ?? (ts.isConstructorDeclaration(node) ? 'constructor' : '(anonymous)');
};

/** `file:outer.inner` of each function that is longer than allowed. */
const functionsOver = (lines: number): string[] => {
  const found: string[] = [];
  for (const [file, text] of sources) {
    if (text.split('\n').length <= lines) continue;
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true);
    const lineAt = (position: number) => source.getLineAndCharacterOfPosition(position).line;
    const walk = (node: ts.Node, outer: readonly string[]): void => {
      let path = outer;
      if (ts.isFunctionLike(node) && 'body' in node && node.body) {
        path = [...outer, ownName(node, source)];
        if (lineAt(node.end) - lineAt(node.getStart(source)) + 1 > lines)
          found.push(`${file}:${path.join('.')}`);
      }
      ts.forEachChild(node, (child) => walk(child, path));
    };
    walk(source, []);
  }
  return found.sort();
};

describe('the house', () => {
  it('has files that import only existing files', () => {
    expect(files.length).toBeGreaterThan(400);
    const missing = [...imports].flatMap(([file, imported]) =>
      imported
        .filter((each) => each.endsWith('.ts') && !existsSync(join(checkout, each)))
        .map((each) => `${file}: ${each}`),
    );
    expect(missing).toEqual([]);
  });

  it('has layers: a folder imports only those below it', () => {
    expect(
      importsThat((file, imported) => {
        const [floor = ''] = file.split('/');
        return texts.has(imported) && !isIn([floor, ...(floors[floor] ?? [])], imported);
      }),
    ).toEqual([]);
  });

  it('keeps folders apart that may not import one another', () => {
    const crosses = (file: string, imported: string) =>
      walls.some(({ rooms, from }) => isIn(rooms, file) && isIn(from, imported));
    expect(importsThat(crosses)).toEqual([]);
  });

  it('imports NATS only in eventlog', () => {
    expect(importsThat((file, imported) => imported === 'nats' && !isIn(['eventlog'], file))).toEqual([]);
  });

  it('has a decider that imports nothing but schemas', () => {
    const decider = ['coordinator/decider'];
    // Only for types, for the comparison of two values, and for persistent maps.
    const pure = ['zod', 'node:util', 'immutable'];
    expect(
      importsThat(
        (file, imported) =>
          isIn(decider, file) && !isIn([...decider, 'schemas'], imported) && !pure.includes(imported),
      ),
    ).toEqual([]);
  });

  it('has no circle of imports, types included', () => {
    expect(circles()).toEqual(circlesLeft);
  });

  it(`has no function of more than ${longestFunction} lines outside tests`, () => {
    expect(functionsOver(longestFunction)).toEqual(longFunctions);
  });
});
