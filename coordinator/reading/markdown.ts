import { printable } from '../../schemas/printable.ts';

/** Finished Markdown: of our own, or with all foreign text in it escaped. */
export class Markdown {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Whether what follows begins a line or an item of a list, where more characters are markup. */
const beginsLine = (before: string): boolean =>
  ['', '-'].includes(before.slice(before.lastIndexOf('\n') + 1).trim());

/**
 * Foreign text as text of one line: nothing in it is markup (CommonMark 0.31, 2.4 and 5; GFM's tables and
 * strikethrough). An underscore within a word is none.
 */
const escaped = (text: string, before: string): string => {
  const inner = printable(text).replaceAll(/[\\`*[\]<|~]|&(?=#?\w)|(?<!\w)_|_(?!\w)/g, '\\$&');
  if (!beginsLine(before)) return inner;
  return inner
    .trimStart()
    .replace(/^[#>+=-]/, '\\$&')
    .replace(/^\d{1,9}(?=[.)])/, '$&\\');
};

const finished = (value: string | number | Markdown, before: string): string =>
  value instanceof Markdown ? value.text : escaped(String(value), before);

/** Markdown as a template: what stands in it is markup, what is inserted is text, unless it is finished. */
export const md = (
  [first = '', ...parts]: TemplateStringsArray,
  ...values: readonly (string | number | Markdown)[]
): Markdown =>
  new Markdown(parts.reduce((text, part, at) => `${text}${finished(values[at] ?? '', text)}${part}`, first));

/** Puts one between the others: paragraphs, lines. */
export const joined = (parts: readonly (string | Markdown)[], between: string): Markdown =>
  new Markdown(parts.map((part) => finished(part, between)).join(between));

/** Foreign text as a span of code, between more backticks than it has in a row. */
export const code = (text: string): Markdown => {
  const shown = printable(text).replaceAll('|', '\u00a6');
  const longest = Math.max(0, ...(shown.match(/`+/g) ?? []).map(({ length }) => length));
  const fence = '`'.repeat(longest + 1);
  const pad = longest > 0 ? ' ' : '';
  return new Markdown(`${fence}${pad}${shown}${pad}${fence}`);
};

/** A Markdown table. */
export const markdownTable = (
  head: readonly string[],
  rows: readonly (readonly (string | Markdown)[])[],
): Markdown => {
  const line = (cells: readonly (string | Markdown)[]) =>
    `| ${cells.map((cell) => finished(cell, '| ')).join(' | ')} |`;
  return new Markdown([line(head), `| ${head.map(() => '---').join(' | ')} |`, ...rows.map(line)].join('\n'));
};

/** A duration as people read it: `42 s`, `4 min 05 s`, `1 h 02 min`. */
export const spokenSeconds = (seconds: number): string => {
  if (seconds < 1) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const pad = (value: number) => String(value).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
};

/** Bytes as people say them: `0.3 MB`, `12.0 MB`, `4.1 GB`, of 1024 × 1024 and so on. */
export const spokenBytes = (bytes: number): string => {
  const megabytes = bytes / 1024 ** 2;
  return megabytes < 1000 ? `${megabytes.toFixed(1)} MB` : `${(megabytes / 1024).toFixed(1)} GB`;
};
