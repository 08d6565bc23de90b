import type { SrcinfoChange } from '../../../schemas/steps.ts';

/** A `pkgbase` or `pkgname` with its keys. A repeated key has several values, in order. */
export interface SrcinfoSection {
  name: string;
  values: ReadonlyMap<string, readonly string[]>;
}

/** `.SRCINFO`: the section of the pkgbase, then one for each package. */
export interface Srcinfo {
  base: SrcinfoSection;
  packages: readonly SrcinfoSection[];
}

/**
 * Reads what `makepkg --printsrcinfo` prints.
 * @throws {TypeError} if a line is not `key = value` or comes before the pkgbase.
 */
export const parseSrcinfo = (text: string): Srcinfo => {
  const sections: { name: string; values: Map<string, string[]> }[] = [];
  for (const line of text.split('\n')) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const equals = trimmed.indexOf('=');
    if (equals < 1) throw new TypeError(`.SRCINFO: "${trimmed}" is not "key = value"`);
    const key = trimmed.slice(0, equals).trim();
    const value = trimmed.slice(equals + 1).trim();
    if (key === 'pkgbase' || key === 'pkgname') sections.push({ name: value, values: new Map() });
    const values = sections.at(-1)?.values;
    if (!values) throw new TypeError(`.SRCINFO: "${trimmed}" comes before the pkgbase`);
    const known = values.get(key);
    if (known) known.push(value);
    else values.set(key, [value]);
  }
  const [base, ...packages] = sections;
  if (!base || packages.length === 0) throw new TypeError('.SRCINFO: no pkgbase and package in it');
  return { base, packages };
};

/** The first value of a key of the pkgbase; undefined if it has none. */
export const srcinfoValue = ({ base }: Srcinfo, key: string): string | undefined => base.values.get(key)?.[0];

/** `[epoch:]pkgver-pkgrel`, as pacman prints it. */
export const srcinfoVersion = (srcinfo: Srcinfo): string => {
  const epoch = srcinfoValue(srcinfo, 'epoch');
  const version = `${srcinfoValue(srcinfo, 'pkgver')}-${srcinfoValue(srcinfo, 'pkgrel')}`;
  return epoch === undefined ? version : `${epoch}:${version}`;
};

const minus = (values: readonly string[], others: readonly string[]): string[] => {
  const left = new Map<string, number>();
  for (const other of others) left.set(other, (left.get(other) ?? 0) + 1);
  return values.filter((value) => {
    const count = left.get(value) ?? 0;
    if (count > 0) left.set(value, count - 1);
    return count === 0;
  });
};

/**
 * What differs between two `.SRCINFO`s: for each section and key the removed values (`before`) and the added ones
 * (`after`). If kept values changed their order, all values are returned, before and after.
 */
export const compareSrcinfo = (before: Srcinfo, after: Srcinfo): SrcinfoChange[] => {
  const names = (srcinfo: Srcinfo) => [srcinfo.base, ...srcinfo.packages];
  const changes: SrcinfoChange[] = [];
  const seen = new Set<SrcinfoSection>();
  const compare = (section: string, old?: SrcinfoSection, now?: SrcinfoSection) => {
    for (const key of new Set([...(old?.values.keys() ?? []), ...(now?.values.keys() ?? [])])) {
      const [from, to] = [old?.values.get(key) ?? [], now?.values.get(key) ?? []];
      const [went, came] = [minus(from, to), minus(to, from)];
      const kept = minus(from, went).join('\n') === minus(to, came).join('\n');
      if (!kept) changes.push({ section, key, before: [...from], after: [...to] });
      else if (went.length + came.length > 0) changes.push({ section, key, before: went, after: came });
    }
  };
  compare(before.base.name, before.base, after.base);
  seen.add(before.base).add(after.base);
  for (const old of before.packages) {
    const now = after.packages.find((one) => one.name === old.name);
    if (now) seen.add(now);
    compare(old.name, old, now);
  }
  for (const now of names(after)) if (!seen.has(now)) compare(now.name, undefined, now);
  return changes;
};

/** What a bump is meant to change. */
export interface MeantBump {
  pkgrel: string;
  pkgver?: string;
  addedSources: readonly string[];
  removedSources?: readonly string[];
  /** Files that stay in `source` but whose sums change. */
  replacedSources?: readonly string[];
}

const isSums = (key: string): boolean => /^(md5|sha1|sha224|sha256|sha384|sha512|b2)sums(_\w+)?$/.test(key);
const isSource = (key: string): boolean => /^source(_\w+)?$/.test(key);

/**
 * Returns a sentence for each change that was not meant, and for each that was meant but is missing. Only the number of
 * sums is checked here: makepkg itself compares each sum with its file.
 */
export const bumpProblems = (changes: readonly SrcinfoChange[], meant: MeantBump): string[] => {
  const { addedSources, removedSources = [], replacedSources = [] } = meant;
  const problems: string[] = [];
  const same = (a: readonly string[], b: readonly string[]) =>
    [...a].sort().join('\n') === [...b].sort().join('\n');
  const list = (values: readonly string[]) => values.join(', ') || 'nothing';
  const touchesSources = addedSources.length + removedSources.length > 0;
  const sumsToGo = removedSources.length + replacedSources.length;
  const sumsToCome = addedSources.length + replacedSources.length;
  let [pkgrels, pkgvers, sources, sums] = [0, 0, 0, 0];
  for (const { section, key, before, after } of changes) {
    const found = `${section}: ${key} went from ${list(before)} to ${list(after)}`;
    if (key === 'pkgrel') {
      pkgrels++;
      if (!same(after, [meant.pkgrel])) problems.push(`${found}; expected ${meant.pkgrel}`);
    } else if (key === 'pkgver' && meant.pkgver !== undefined) {
      pkgvers++;
      if (!same(after, [meant.pkgver])) problems.push(`${found}; expected ${meant.pkgver}`);
    } else if (isSource(key) && touchesSources) {
      sources++;
      const went = before.map((entry) => entry.slice(entry.lastIndexOf('/') + 1).split('::')[0] ?? '');
      if (!same(after, addedSources) || !same(went, removedSources))
        problems.push(`${found}; expected ${list(removedSources)} to go and ${list(addedSources)} to come`);
    } else if (isSums(key) && sumsToGo + sumsToCome > 0) {
      sums++;
      if (before.length !== sumsToGo || after.length !== sumsToCome)
        problems.push(`${found}; expected ${sumsToGo} sums to go and ${sumsToCome} to come`);
    } else problems.push(`${found}; expected it to stay`);
  }
  // A new pkgver may keep the pkgrel of the old one.
  if (pkgrels === 0 && meant.pkgver === undefined)
    problems.push(`pkgrel did not change; expected it to become ${meant.pkgrel}`);
  if (meant.pkgver !== undefined && pkgvers === 0)
    problems.push(`pkgver did not change; expected it to become ${meant.pkgver}`);
  if (touchesSources && sources === 0)
    problems.push(`source did not change; expected ${list(addedSources)} to come`);
  if (sumsToGo + sumsToCome > 0 && sums === 0) problems.push('no sums changed; expected one for each source');
  return problems;
};
