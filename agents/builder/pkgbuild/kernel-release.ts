import { type BashToken, lineOf } from './bash-array.ts';
import { type BashCommand, type BashScript, readScript, scriptVariables } from './bash-script.ts';
import { type BashVariables, expandWord } from './bash-word.ts';
import { asPkgbuildError, PkgbuildError } from './pkgbuild-error.ts';
import { editLines } from './sed-script.ts';

export interface ReleaseSources {
  /** The top Makefile of the baseline's tree. */
  makefile: string;
  pkgbuild: string;
  /** The package's values in `.SRCINFO`. */
  pkgbase: string;
  pkgver: string;
  pkgrel: string;
  /** The kernel's config or its fragment among the sources; null if there is none. */
  config: string | null;
}

/** The parts of a release, according to the text. */
interface Parts {
  makefile: string;
  config: string;
  /** File name → content. */
  localversions: Map<string, string>;
  /** `LOCALVERSION=` as make gets it; undefined if nothing sets it. */
  argument: string | undefined;
  /** `EXTRAVERSION=` as an argument to make. */
  extraversion: string | undefined;
}

const about = /LOCALVERSION|EXTRAVERSION|KERNELRELEASE|KERNELVERSION|SUBLEVEL|localversion|setlocalversion/;

const makefileValue = (makefile: string, name: string): string | undefined =>
  new RegExp(`^${name}[ \\t]*:?=(.*)$`, 'm').exec(makefile)?.[1]?.trim();

const configString = (config: string, name: string): string => {
  const lines = [...config.matchAll(new RegExp(`^CONFIG_${name}="((?:[^"\\\\]|\\\\.)*)"$`, 'gm'))];
  return (lines.at(-1)?.[1] ?? '').replace(/\\(.)/g, '$1');
};

const printed = (values: readonly string[]): string | undefined => {
  const [program, ...args] = values;
  if (program === 'echo') {
    while (args[0] !== undefined && /^-[neE]+$/.test(args[0])) args.shift();
    return args.some((arg) => arg.includes('\\')) ? undefined : args.join(' ');
  }
  if (program !== 'printf') return undefined;
  if (args[0] === '--') args.shift();
  const [format = '', ...rest] = args;
  if (/%(?!s)/.test(format) || (format.match(/%s/g)?.length ?? 0) < rest.length) return undefined;
  const text = format.replace(/%s/g, () => rest.shift() ?? '').replace(/\\n/g, '\n');
  return text.includes('\\') ? undefined : text;
};

/** Programs that only print. */
const speakers: ReadonlySet<string> = new Set(['echo', 'printf', 'msg', 'msg2', 'error', 'warning', 'plain']);
/** Programs that change files in a way that the text does not tell. */
const changers: ReadonlySet<string> = new Set(['rm', 'cp', 'mv', 'tee', 'ln', 'install', 'patch']);
const setsRelease = ({ raw }: BashToken) => /KERNEL(RELEASE|VERSION)=/.test(raw);

/** Reads, command by command, how prepare(), build() and the functions that they call change the parts. */
class PartsReader {
  readonly parts: Parts;
  readonly #text: string;
  readonly #variables: BashVariables;
  readonly #locals = new Map<string, readonly string[] | undefined>();

  constructor(text: string, script: BashScript, { pkgbase, pkgver, pkgrel, ...sources }: ReleaseSources) {
    const top = scriptVariables(script, { pkgbase, pkgver, pkgrel });
    this.#text = text;
    this.#variables = (name) => (this.#locals.has(name) ? this.#locals.get(name) : top(name));
    this.parts = {
      makefile: sources.makefile,
      config: sources.config ?? '',
      localversions: new Map(),
      argument: undefined,
      extraversion: undefined,
    };
  }

  read(command: BashCommand): void {
    this.#readAssignments(command);
    if (command.in === undefined) return;
    const [program, ...words] = command.words;
    const writes = command.redirections.find(({ target }) =>
      target.raw.slice(target.raw.lastIndexOf('/') + 1).includes('localversion'),
    );
    if (!program) return;
    const mentions =
      writes !== undefined || [program, ...words].some(({ raw }) => about.test(raw) && !/^\.?\//.test(raw));
    if (!mentions) return;
    if (speakers.has(program.raw) && !writes) return;
    if (command.nesting > 0) throw this.#unclear(command, 'it is under a condition or in a loop');

    if (writes) this.#readWriting(command, program, words, writes);
    else if (program.raw === 'sed') this.#readSed(command, words);
    else if (/(^|\/)scripts\/config$/.test(program.raw.replace(/["']/g, '')))
      this.#readScriptsConfig(command, words);
    else if (words.some(({ raw }) => /^["']?(LOCALVERSION|EXTRAVERSION)=/.test(raw)))
      this.#readArguments(command, words);
    else if (words.some((word) => setsRelease(word) || /setlocalversion/.test(word.raw)))
      throw this.#unclear(command, 'it sets the release itself');
    // Other commands only read: `cat include/config/kernel.release`, `rm localversion-next`.
    else if (changers.has(program.raw)) throw this.#unclear(command, 'what it leaves is not understood here');
  }

  #unclear(command: BashCommand, why: string): PkgbuildError {
    return new PkgbuildError(
      lineOf(this.#text, command.start),
      `the kernel's release depends on "${this.#text.slice(command.start, command.end)}", and ${why}; write it in a simpler form`,
    );
  }

  #expanded(command: BashCommand, raw: string): string {
    const values = expandWord(raw, this.#variables);
    if (!values) throw this.#unclear(command, `only running it tells what ${raw} is`);
    return values.join(' ');
  }

  #setArgument(command: BashCommand, key: 'argument' | 'extraversion', raw: string): void {
    const value = this.#expanded(command, raw);
    if (this.parts[key] !== undefined && this.parts[key] !== value)
      throw this.#unclear(command, `another command gives "${this.parts[key]}"`);
    this.parts[key] = value;
  }

  #readAssignments(command: BashCommand): void {
    for (const { name, value, array, append, start, end } of command.assignments) {
      const said = this.#text.slice(start, end);
      if (name === 'LOCALVERSION') this.#setArgument(command, 'argument', value.raw);
      else if (about.test(name)) throw this.#unclear(command, `${said} is not understood here`);
      else if (command.in !== undefined) {
        const plain = !array && !append && command.nesting === 0;
        this.#locals.set(name, plain ? expandWord(value.raw, this.#variables) : undefined);
      }
    }
  }

  #readWriting(
    command: BashCommand,
    program: BashToken,
    words: readonly BashToken[],
    { operator, target }: BashCommand['redirections'][number],
  ): void {
    const content = printed([program, ...words].map(({ raw }) => this.#expanded(command, raw)));
    if (content === undefined || !['>', '>>', '>|'].includes(operator))
      throw this.#unclear(command, 'what it writes is not understood here');
    const path = this.#expanded(command, target.raw);
    const file = path.slice(path.lastIndexOf('/') + 1);
    const before = operator === '>>' ? (this.parts.localversions.get(file) ?? '') : '';
    this.parts.localversions.set(file, `${before}${content}${program.raw === 'echo' ? '\n' : ''}`);
  }

  #readSed(command: BashCommand, words: readonly BashToken[]): void {
    const target = words.at(-1)?.raw.replace(/["']/g, '') ?? '';
    const isConfig = target.slice(target.lastIndexOf('/') + 1).includes('config') ? 'config' : undefined;
    const key = /(^|\/)Makefile$/.test(target) ? 'makefile' : isConfig;
    const scripts = words.slice(0, -1).filter(({ raw }) => !/^(-\w+|--[\w-]+)$/.test(raw));
    if (words.some(({ raw }) => /^-/.test(raw) && !/^(-i|-e|-ie|--in-place|--expression)$/.test(raw)))
      throw this.#unclear(command, 'these options of sed are not understood here');
    if (!key) throw this.#unclear(command, 'it edits neither Makefile nor config');
    for (const { raw } of scripts) {
      const edited = editLines(this.parts[key], this.#expanded(command, raw));
      if (edited === undefined) throw this.#unclear(command, 'this sed script is not understood here');
      this.parts[key] = edited;
    }
  }

  #readScriptsConfig(command: BashCommand, words: readonly BashToken[]): void {
    const values = words.map(({ raw }) => this.#expanded(command, raw));
    const at = values.findIndex((value, i) => value === '--set-str' && values[i + 1] === 'LOCALVERSION');
    if (at >= 0) this.parts.config += `\nCONFIG_LOCALVERSION="${values[at + 2] ?? ''}"\n`;
    else if (values.includes('LOCALVERSION'))
      throw this.#unclear(command, 'these options are not understood here');
  }

  #readArguments(command: BashCommand, words: readonly BashToken[]): void {
    for (const { raw } of words) {
      const quote = /^["']/.exec(raw)?.[0] ?? '';
      const argument = /^["']?(LOCALVERSION|EXTRAVERSION)=/.exec(raw);
      if (!argument) continue;
      const value = `${quote}${raw.slice(argument[0].length)}`;
      this.#setArgument(command, argument[1] === 'LOCALVERSION' ? 'argument' : 'extraversion', value);
    }
    if (words.some(setsRelease)) throw this.#unclear(command, 'it sets the release itself');
  }
}

const readParts = (text: string, script: BashScript, sources: ReleaseSources): Parts => {
  const reader = new PartsReader(text, script, sources);
  for (const command of script.commands) if (!command.in?.startsWith('package')) reader.read(command);
  return reader.parts;
};

const releaseOf = (text: string, script: BashScript, sources: ReleaseSources): string => {
  const parts = readParts(text, script, sources);
  const version = makefileValue(parts.makefile, 'VERSION');
  const patchlevel = makefileValue(parts.makefile, 'PATCHLEVEL');
  if (!version || !patchlevel)
    throw new PkgbuildError(
      1,
      'the baseline has no VERSION and PATCHLEVEL in its Makefile to tell a release from',
    );
  const sublevel = makefileValue(parts.makefile, 'SUBLEVEL');
  const extraversion = parts.extraversion ?? makefileValue(parts.makefile, 'EXTRAVERSION') ?? '';
  const numbers = [version, patchlevel, ...(sublevel ? [sublevel] : [])].join('.');
  const files = [...parts.localversions].sort(([a], [b]) => (a < b ? -1 : 1));
  const localversions = files.map(([, content]) => content.replace(/\s+/g, '')).join('');
  const localversion = configString(parts.config, 'LOCALVERSION');

  const variables = scriptVariables(script, { pkgbase: sources.pkgbase, pkgver: sources.pkgver });
  for (const assignment of script.assignments.filter(({ name }) => /^source(_\w+)?$/.test(name)))
    for (const { raw, start } of assignment.array?.elements ?? [])
      for (const entry of expandWord(raw, variables) ?? [raw]) {
        if (/(^|\/)patch-\d[^/]*$/.test(entry))
          throw new PkgbuildError(lineOf(text, start), `${entry} changes the baseline's version by itself`);
        // For a git tree that is not on its tag, the kernel adds a "+" or the commit, unless LOCALVERSION is set.
        if (/(^|::)git(\+|:)/.test(entry) && parts.argument === undefined)
          throw new PkgbuildError(
            lineOf(text, start),
            `${entry} is a git tree, whose state goes into the release; give make "LOCALVERSION="`,
          );
      }
  return `${numbers}${extraversion}${localversions}${localversion}${parts.argument ?? ''}`;
};

/**
 * Predicts what `uname -r` will print, from the text alone: the Makefile's version, what `sed` in prepare() does to it,
 * `localversion*` files, CONFIG_LOCALVERSION and make's LOCALVERSION, in the order in which the kernel's
 * `scripts/setlocalversion` puts them together. `namesPkgrel` says whether another pkgrel makes another release.
 * @throws {PkgbuildError} one sentence, if the text can't tell. It never guesses.
 */
export const predictRelease = (sources: ReleaseSources): { predicted: string; namesPkgrel: boolean } => {
  try {
    const script = readScript(sources.pkgbuild);
    const predicted = releaseOf(sources.pkgbuild, script, sources);
    const other = releaseOf(sources.pkgbuild, script, { ...sources, pkgrel: `${sources.pkgrel}9` });
    return { predicted, namesPkgrel: other !== predicted };
  } catch (error) {
    throw asPkgbuildError(sources.pkgbuild, error);
  }
};
