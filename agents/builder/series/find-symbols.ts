import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ProgramFailed } from '../../../host/errors.ts';
import type { SymbolFound } from '../../../schemas/steps.ts';
import type { Git } from '../git/git.ts';
import type { PatchSymbols } from './symbols.ts';

/** What was found in a tree about one symbol. */
export interface SymbolInTree {
  /** The number of lines of code that name it. Lines of comments don't count. */
  hits: number;
  /** `path:line` of its definition, or of a declaration if no definition is found. */
  definedIn: string | null;
  exported: boolean;
}

const grepTimeoutMs = 10 * 60_000;
/** A longer line was written by a machine, and does not show where a symbol comes from. */
const longestLine = 1000;
const comment = /^\s*(\/\*|\/\/|\*(\s|\/|$))/;
const word = /[A-Za-z_]\w*/g;
const exportOf = /\bEXPORT_SYMBOL\w*\(\s*(\w+)/;

const blank = (): SymbolInTree => ({ hits: 0, definedIn: null, exported: false });

/** Ranks how much a line looks like the definition of the symbol; 0 is not at all. */
const definitionRank = (symbol: string): ((path: string, line: string) => number) => {
  const macro = new RegExp(`^\\s*#\\s*define\\s+${symbol}\\b`);
  const type = new RegExp(
    `\\b(?:struct|union|enum)\\s+${symbol}\\s*\\{|^(?:typedef\\b.*|\\}\\s*)\\b${symbol};`,
  );
  const enumerator = new RegExp(`^\\s+${symbol}\\s*(?:,|=[^=]|$|/\\*)`);
  const functionHead = new RegExp(
    `^(?:[A-Za-z_](?:[\\w\\s*]|(?<=\\b__\\w+)\\([\\w, ]*\\))*[\\s*])?${symbol}\\s*\\(`,
  );
  const variable = new RegExp(`^[A-Za-z_][\\w\\s*]*[\\s*]${symbol}\\s*(?:=|;|\\[)`);
  const kind = (path: string, line: string): number => {
    if (macro.test(line) || type.test(line)) return 3;
    if (path.endsWith('.h') && enumerator.test(line)) return 2;
    if (functionHead.test(line)) return /;\s*$/.test(line) ? 1 : 3;
    return variable.test(line) ? 1 : 0;
  };
  return (path, line) => {
    const found = line.length > longestLine ? 0 : kind(path, line);
    if (found === 0) return 0;
    const place = /^(tools|samples|Documentation|scripts)\//.test(path)
      ? 0
      : path.startsWith('include/')
        ? 2
        : 1;
    return found * 4 + place;
  };
};

/**
 * Searches the C files, headers and assembly of a commit for symbols, in one pass and without a worktree.
 * @param folder A folder for a temporary file.
 */
export const grepSymbols = async (
  git: Git,
  repository: string,
  commit: string,
  symbols: readonly string[],
  folder: string,
): Promise<Map<string, SymbolInTree>> => {
  const found = new Map(symbols.map((symbol) => [symbol, blank()]));
  if (symbols.length === 0) return found;
  const patterns = join(folder, 'symbols.txt');
  await writeFile(patterns, `${symbols.join('\n')}\n`);
  const args = ['grep', '-I', '-F', '-w', '-n', '-z', '-f', patterns, commit, '--', '*.c', '*.h', '*.S'];
  const options = { quiet: true, exitCodes: [0, 1], timeoutMs: grepTimeoutMs };
  try {
    const { stdout } = await git.run(repository, args, options);
    readHits(stdout.split('\n'), commit.length + 1, found);
  } catch (error) {
    // There are more lines than the runner keeps: the symbols are too common to search for all at once.
    const tooMuch = error instanceof ProgramFailed && error.stdout.length > 32 * 1024 * 1024;
    if (!tooMuch || symbols.length === 1) throw error;
    const half = Math.ceil(symbols.length / 2);
    const first = await grepSymbols(git, repository, commit, symbols.slice(0, half), folder);
    return new Map([...first, ...(await grepSymbols(git, repository, commit, symbols.slice(half), folder))]);
  }
  await rm(patterns, { force: true });
  return found;
};

const readHits = (lines: readonly string[], pathStart: number, found: Map<string, SymbolInTree>): void => {
  const rankOf = new Map([...found.keys()].map((symbol) => [symbol, definitionRank(symbol)]));
  const bestRank = new Map<string, number>();
  for (const hit of lines) {
    const [file = '', number, line] = hit.split('\0');
    if (line === undefined || comment.test(line)) continue;
    const path = file.slice(pathStart);
    for (const symbol of new Set(line.match(word))) {
      const entry = found.get(symbol);
      if (entry === undefined) continue;
      entry.hits++;
      if (exportOf.exec(line)?.[1] === symbol) entry.exported = true;
      const rank = rankOf.get(symbol)?.(path, line) ?? 0;
      if (rank <= (bestRank.get(symbol) ?? 0)) continue;
      bestRank.set(symbol, rank);
      entry.definedIn = `${path}:${number}`;
    }
  }
};

/** A patch of the series and what it says about symbols. */
export interface ReadPatch {
  file: string;
  symbols: PatchSymbols;
}

/** The symbols that a patch uses, including names that the series itself defines. */
const usesOf = ({ symbols }: ReadPatch, ownNames: ReadonlySet<string>): Set<string> => {
  const uses = new Set([...symbols.uses, ...symbols.mayUse, ...symbols.types]);
  for (const name of symbols.mentions)
    if (ownNames.has(name) && !symbols.introduces.has(name)) uses.add(name);
  return uses;
};

/** Whether a macro of the series may have made this name out of another one. */
const maybePasted = (symbol: string, patches: readonly ReadPatch[]): boolean =>
  patches.some(({ symbols }) =>
    [...symbols.pasted].some((part) => part.length > 2 && part !== symbol && symbol.includes(part)),
  );

/**
 * The symbol table of a series: what the plan lists and what the patches use, in that order. `grep` is called once, for
 * all of them.
 */
export const findSymbols = async (
  listed: readonly string[],
  patches: readonly ReadPatch[],
  grep: (symbols: readonly string[]) => Promise<Map<string, SymbolInTree>>,
): Promise<{ table: SymbolFound[]; uses: Map<string, string[]> }> => {
  const ownNames = new Set(patches.flatMap(({ symbols }) => [...symbols.defines]));
  const uses = new Map(patches.map((patch) => [patch.file, usesOf(patch, ownNames)]));
  const used = [...new Set(patches.flatMap(({ file }) => [...(uses.get(file) ?? [])]))].sort();
  const names = [...new Set([...listed, ...used])];
  const tree = await grep(names);
  const table: SymbolFound[] = [];
  for (const symbol of names) {
    const { hits, definedIn, exported } = tree.get(symbol) ?? blank();
    const usedAt = patches.flatMap(({ file }, order) => (uses.get(file)?.has(symbol) ? [order] : []));
    const definedAt = patches.findIndex(({ symbols }) => symbols.defines.has(symbol));
    const inPassing = patches.some(({ symbols }) => symbols.introduces.has(symbol));
    const certain = patches.some(({ symbols }) => symbols.uses.has(symbol) || symbols.types.has(symbol));
    const isListed = listed.includes(symbol);
    if (hits === 0 && definedAt < 0 && !isListed && (!certain || inPassing || maybePasted(symbol, patches))) {
      for (const patch of uses.values()) patch.delete(symbol);
      continue;
    }
    table.push({
      symbol,
      listed: isListed,
      usedBy: usedAt.flatMap((order) => patches[order]?.file ?? []),
      hits,
      definedIn: definedIn ?? patches[definedAt]?.file ?? null,
      exported: exported || patches.some(({ symbols }) => symbols.exports.has(symbol)),
      status: statusOf(hits, definedAt, usedAt),
    });
  }
  return { table, uses: new Map([...uses].map(([file, symbols]) => [file, [...symbols].sort()])) };
};

const statusOf = (hits: number, definedAt: number, usedAt: readonly number[]): SymbolFound['status'] => {
  if (hits > 0) return 'found';
  if (definedAt < 0) return 'missing';
  return usedAt.some((order) => order < definedAt) ? 'defined-later' : 'from-series';
};
