import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkout } from '../deploy/checkout.ts';
import { headings } from '../deploy/commands/all.ts';
import { fleetEvents, iterationEvents, stepEventType, stepFacts } from '../schemas/events.ts';
import { stepNames } from '../schemas/step-names.ts';

const isFolder = (path: string) => statSync(join(checkout, path)).isDirectory();
const entries = (folder: string) =>
  readdirSync(join(checkout, folder)).filter((name) => !/^\.|^node_modules$|^dist(\.|$)/.test(name));
const topLevel = entries('.');

const pages = ['README.md', 'CONTRIBUTING.md', ...entries('docs').map((name) => `docs/${name}`)];
pages.push(...entries('examples').map((name) => `examples/${name}/README.md`));

const read = (page: string) => readFileSync(join(checkout, page), 'utf8');
/** The texts in backquotes. */
const quotedIn = (text: string) => [...text.matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);
/** Whether it is a path in this tree, and not on a host. */
const isPath = (span: string) =>
  /^[\w.@-]+\/[\w.@/-]*$/.test(span) && topLevel.includes(span.split('/')[0] ?? '');
const isThere = (path: string) => existsSync(join(checkout, path)) && (!path.endsWith('/') || isFolder(path));

describe.each(pages)('%s', (page) => {
  it('names only existing files and folders', () => {
    expect(quotedIn(read(page)).filter((span) => isPath(span) && !isThere(span))).toEqual([]);
  });

  it('links only to existing pages', () => {
    const links = [...read(page).matchAll(/\]\(([^):#]+)[^)]*\)/g)].map(([, link = '']) => link);
    expect(links.filter((link) => !isThere(join(dirname(page), link)))).toEqual([]);
  });
});

const namesExportedBy = (file: string) =>
  [
    ...readFileSync(join(checkout, file), 'utf8').matchAll(
      /^export (?:async )?(?:const|function|class|interface|type) (\w+)/gm,
    ),
  ].map(([, name = '']) => name);

describe('the walk-through', () => {
  const walk = read('docs/how-a-request-travels.md');
  const section = (heading: string) => walk.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const tableOf = (heading: string) =>
    section(heading)
      .split('\n')
      .filter((line) => line.startsWith('| ') && !line.startsWith('| ---'))
      .slice(1)
      .map((line) => line.split('|').slice(1, -1));

  it('has a map with every folder, two deep, and no other', () => {
    const isRoom = (name: string) => name !== 'testdata';
    const above = topLevel.filter((name) => isFolder(name));
    const below = above
      .flatMap((name) => entries(name).map((inner) => `${name}/${inner}`))
      .filter((path) => isFolder(path) && isRoom(path.split('/')[1] ?? ''));
    const folders = [...above, ...below.filter((path) => !path.startsWith('docs/'))].map(
      (path) => `${path}/`,
    );
    const onMap = tableOf('The map').flatMap(([folder = '']) => quotedIn(folder));
    expect(onMap.sort()).toEqual(folders.sort());
  });

  const arrows = tableOf('The arrows').map(([, arrow = '', file = '', name = '']) => ({
    arrow: arrow.trim(),
    file: quotedIn(file)[0] ?? '',
    names: quotedIn(name),
  }));
  it.each(arrows)('$arrow: $file exports it', ({ file, names }) => {
    expect(names).not.toEqual([]);
    expect(namesExportedBy(file)).toEqual(expect.arrayContaining(names));
  });

  it('has only existing names in backquotes', () => {
    const sourcesIn = (folder: string): string[] =>
      entries(folder).flatMap((name) => {
        const path = `${folder}/${name}`;
        if (isFolder(path)) return sourcesIn(path);
        return /(?<!\.test|\.d)\.ts$/.test(name) ? [path] : [];
      });
    const known = new Set([
      ...topLevel,
      ...['schemas', 'eventlog', 'host', 'agents', 'coordinator', 'deploy']
        .flatMap(sourcesIn)
        .flatMap(namesExportedBy),
      ...[...Object.keys(iterationEvents), ...Object.keys(fleetEvents)],
      ...stepNames.flatMap((step) => [step, ...stepFacts.map((fact) => stepEventType(step, fact))]),
      ...Object.values(headings).flatMap((names) => names.map((name) => `ka ${name}`)),
    ]);
    expect(quotedIn(walk).filter((span) => !known.has(span) && !(isPath(span) && isThere(span)))).toEqual([]);
  });
});
