import { type BashToken, lineOf } from './bash-array.ts';
import type { BashCommand, BashScript } from './bash-script.ts';
import { PkgbuildError } from './pkgbuild-error.ts';
import { type TextEdit, wholeLines } from './text-edit.ts';

/** How `prepare()` applies patches: by their names, one command each, or in a loop over whatever is there. */
type Shape =
  | { by: 'name'; commands: { command: BashCommand; file: string }[]; line: number }
  | { by: 'loop'; pattern: string | undefined };

const appliesPatches = ({ words: [program, verb] }: BashCommand): boolean =>
  program?.raw === 'patch' || (program?.raw === 'git' && (verb?.raw === 'apply' || verb?.raw === 'am'));

const bare = (text: string): string => text.replace(/["']/g, '');

const namedIn = (token: BashToken, known: readonly string[]): string | undefined =>
  known.find((file) => bare(token.raw) === bare(file) || bare(token.raw).endsWith(`/${bare(file)}`));

const isSourceLoop = (over: readonly BashToken[]): boolean =>
  over.some(({ raw }) => /\$\{source(_\w+)?\[[@*]\]|\*\.(patch|diff)/.test(raw));

const readShape = (text: string, script: BashScript, known: readonly string[]): Shape => {
  const prepare = script.functions.find(({ name }) => name === 'prepare');
  if (!prepare) throw new PkgbuildError(1, 'no prepare(); expected one that applies the patches');
  const line = lineOf(text, prepare.start);
  const inside = script.commands.filter((command) => command.in === 'prepare');
  const patching = inside.filter(appliesPatches);
  const looping = patching.find(({ loops }) => loops.some(({ over }) => isSourceLoop(over)));
  if (looping) {
    const loop = looping.loops.find(({ over }) => isSourceLoop(over));
    const body = text.slice(loop?.start ?? looping.start, looping.end);
    return { by: 'loop', pattern: /\*\.(patch|diff)/.exec(body)?.[0]?.slice(1) };
  }
  const commands = patching.map((command) => {
    const at = lineOf(text, command.start);
    const tokens = [...command.words, ...command.redirections.map(({ target }) => target)];
    const files = new Set(tokens.flatMap((token) => namedIn(token, known) ?? []));
    const [file] = files;
    const said = text.slice(command.start, command.end);
    if (file === undefined || files.size > 1)
      throw new PkgbuildError(at, `"${said}" names no single file of source; expected one patch by its name`);
    if (command.nesting > 0)
      throw new PkgbuildError(at, `"${said}" is under a condition or in a loop; expected it on its own`);
    return { command, file };
  });
  return { by: 'name', commands, line };
};

/** Whether what stands behind a command on its line is nothing but what handles its failure, and a comment. */
const endsCommand = (behind: string): boolean => {
  const rest = behind
    .trim()
    .replace(/^\|\|\s*(?:return|exit)\b(?:\s+\d+)?/, '')
    .trimStart()
    .replace(/^;/, '')
    .trimStart();
  return rest === '' || rest.startsWith('#');
};

/** The lines of a command, which nothing else may share except what handles its failure: `|| return 1`. */
const ownLines = (text: string, { start, end }: BashCommand): { start: number; end: number } => {
  const lines = wholeLines(text, start, end);
  const before = text.slice(lines.start, start);
  const behind = text.slice(end, lines.end);
  if (!/^\s*$/.test(before) || !endsCommand(behind))
    throw new PkgbuildError(
      lineOf(text, start),
      `other commands are on the line of "${text.slice(start, end)}"; expected it on a line of its own`,
    );
  return lines;
};

/**
 * The edits by which `prepare()` applies the added patches after its last one, in the same form, and no longer applies
 * the removed ones. There are none if a loop over `source` applies whatever is there.
 * @param known the files that `source` names.
 * @throws {PkgbuildError} if it applies patches in a way that this can't follow.
 */
export const editPrepare = (
  text: string,
  script: BashScript,
  known: readonly string[],
  added: readonly string[],
  removed: readonly string[],
): TextEdit[] => {
  if (added.length + removed.length === 0) return [];
  const shape = readShape(text, script, known);
  if (shape.by === 'loop') {
    const odd = added.find((file) => shape.pattern !== undefined && !file.endsWith(shape.pattern));
    if (odd === undefined) return [];
    throw new PkgbuildError(1, `prepare() applies *${shape.pattern}; ${odd} would be left out`);
  }
  const edits: TextEdit[] = removed.map((file) => {
    const found = shape.commands.filter((one) => one.file === file);
    const [only] = found;
    if (!only || found.length > 1)
      throw new PkgbuildError(
        shape.line,
        `prepare() applies ${file} in ${found.length} commands; expected a single one to remove`,
      );
    return { ...ownLines(text, only.command), by: '' };
  });
  const last = shape.commands.at(-1);
  if (added.length > 0) {
    if (!last)
      throw new PkgbuildError(
        shape.line,
        'prepare() applies no patch; expected a line like "patch -Np1 -i ../x.patch" to copy, or a loop over source',
      );
    const lines = ownLines(text, last.command);
    const copied = text.slice(lines.start, lines.end);
    edits.push({
      ...lines,
      start: lines.end,
      by: added.map((file) => copied.replaceAll(last.file, file)).join(''),
    });
  }
  return edits;
};
