import type { CellSeen, CheckFault, ComparisonFault } from '../../../schemas/check-faults.ts';
import type { Opened, UnknownOf } from '../../../schemas/open.ts';
import { howItFellBack } from './fell-back.ts';

type Fault = Opened<CheckFault>;
type KnownFault = Exclude<Fault, UnknownOf<'code'>>;

const orNone = (value: string | null): string => value ?? '(none)';

/** The state of a cell of the sweep, as the end of a sentence about its path. */
export const cellWords = (seen: Opened<CellSeen>): string => {
  const hash = seen.sha256?.slice(0, 8) ?? 'no hash';
  switch (seen.status) {
    case 'proven':
      return hash;
    case 'not-swept':
      return 'was not swept';
    case 'unproven':
      return `is not proven (${seen.runs} runs, ${seen.device ?? 'no device'}, ${hash})`;
    case 'unstable':
      return `changed between repeats (${seen.hashes} hashes in ${seen.runs} runs)`;
    case 'no-device':
      return 'never used the device';
    case 'error':
      return `broke: ${seen.error ?? 'no reason given'}`;
  }
  return 'is in a state that this version does not know';
};

/** A comparison that does not hold. */
export const comparisonWords = ({ expectation, left, right }: Opened<ComparisonFault>): string => {
  const sides = [left, right].flatMap((seen) => (seen ? [`${seen.path} ${cellWords(seen)}`] : []));
  const unjudged = left && right ? '' : '; this version can only compare paths of the sweep';
  return `${expectation} does not hold: ${sides.join(', ')}${unjudged}`;
};

const versionOf: Record<Extract<CheckFault, { code: 'version-differs' }>['of'], (found: string) => string> = {
  buildinfo: (found) => `.BUILDINFO says ${found}`,
  backup: (found) => `the backup is of ${found}`,
  install: (found) => `${found} is installed`,
  package: (found) => `it is ${found}`,
  reboot: (found) => `${found} is installed`,
  sweep: (found) => `${found} was swept`,
  confirm: (found) => `${found} is confirmed`,
};

const versionWords = (fault: Extract<KnownFault, { code: 'version-differs' }>): string => {
  const found = fault.found ?? 'nothing';
  const say = (versionOf as Readonly<Record<string, ((found: string) => string) | undefined>>)[fault.of];
  const said = fault.package === undefined ? (say?.(found) ?? found) : `${fault.package} is ${found}`;
  return `${said}, not ${orNone(fault.expected)}`;
};

const missingFrom: Readonly<Record<string, string>> = {
  build: 'was not built',
  backup: 'is not in the backup',
  install: 'is not installed',
};

type Words = { [Code in CheckFault['code']]: (fault: Extract<KnownFault, { code: Code }>) => string };

const words: Words = {
  'no-evidence': ({ step }) => `no evidence of ${step} yet`,
  'check-unknown': ({ check }) => `this version does not know the check ${check}`,
  'patch-not-tried': ({ patch }) => `${patch} was not tried`,
  'patch-conflicts': ({ patch }) => `${patch} conflicts`,
  'patch-already-there': ({ patch }) => `${patch} is in the baseline already`,
  'author-differs': ({ patch, found, expected }) =>
    `the author of ${patch} is ${orNone(found)}, not ${orNone(expected)}`,
  'lines-differ': ({ patch, path, found, expected }) =>
    `${patch} adds ${found ?? 'no'} lines to ${path}, not ${expected}`,
  'path-not-touched': ({ patch, path }) => `${patch} does not touch ${path}`,
  'path-also-touched': ({ patch, path }) => `${patch} touches ${path} as well`,
  'symbol-not-defined': ({ patch, symbol }) => `${patch} does not define ${symbol}`,
  'symbol-not-used': ({ patch, symbol }) => `${patch} does not use ${symbol}`,
  'symbol-not-found': ({ symbol, status }) => `${symbol} is ${status}`,
  'release-differs': ({ of, found, expected }) =>
    of === 'running'
      ? `uname -r is ${orNone(found)}, not ${orNone(expected)}`
      : `the release will be ${orNone(found)}, not ${orNone(expected)}`,
  'patch-not-landed': ({ path, isThere }) => `${path} is ${isThere ? 'another patch' : 'not in the commit'}`,
  'not-included': ({ manifest, entry }) => `${manifest} does not include ${entry}`,
  'include-lost': ({ manifest, entry }) => `${manifest} has lost ${entry}`,
  'nothing-committed': ({ repository }) => `nothing was committed to ${repository}`,
  'bump-differs': ({ end, found, expected }) =>
    `the bump is ${end} ${orNone(found)}, not ${orNone(expected)}`,
  'key-differs': ({ host, found, expected }) =>
    `${host} reports the key ${orNone(found)}, and the fleet's key is ${orNone(expected)}`,
  'package-missing': ({ package: name, from }) => `${name} ${missingFrom[from] ?? 'is missing'}`,
  'package-differs': ({ file, from }) =>
    `${file} is not the one ${from === 'build' ? 'that was built' : 'that was published'}`,
  'version-differs': versionWords,
  'commit-not-landed': ({ commit }) => `it was built from ${commit}, which is not what landed`,
  'not-attested': ({ host, what }) => `${host} does not attest the ${what}`,
  'attestation-differs': ({ found, expected }) =>
    `it rests on the attestation ${orNone(found)}, the build's is ${orNone(expected)}`,
  'no-mirror': () => 'the publisher has no mirror',
  'mirror-database-differs': ({ url }) => `${url} serves another database`,
  'mirror-lacks-packages': ({ url, found, expected }) => `${url} serves ${found} of ${expected} packages`,
  'place-differs': ({ found, expected }) => `it is on ${orNone(found)}, not on ${orNone(expected)}`,
  'no-file-checked': ({ package: name }) => `no file of ${name} was checked`,
  'files-altered': ({ package: name, files, count }) =>
    `${name}: ${files.join(', ')} ${count === 1 ? 'is' : 'are'} altered${count > files.length ? `, and ${count - files.length} more` : ''}`,
  'kernel-fell-back': ({ procVersion, fellBack }) =>
    `the board came back on ${procVersion}${fellBack ? `, ${howItFellBack(fellBack)}` : ''}`,
  'rebooted-twice': () => 'the board rebooted more than once',
  'outcome-unknown': ({ outcome }) => `this version does not know what the reboot's outcome ${outcome} means`,
  'same-boot': ({ bootId }) => `the boot id is still ${bootId}`,
  'banner-differs': ({ found, expected }) =>
    `what runs is ${orNone(found)}, the installed image is ${orNone(expected)}`,
  'row-not-as-expected': ({ row, comparisons }) => `${row}: ${comparisons.map(comparisonWords).join('; ')}`,
  'row-regressed': ({ row }) => `${row} passed before`,
  'file-not-committed': ({ file }) => `${file} was not committed`,
};

/** A fault as part of a sentence. */
export const faultWords = (fault: Fault): string =>
  fault.code === 'unknown'
    ? `${fault.named}, which this version does not know`
    : (words[fault.code] as (fault: KnownFault) => string)(fault);

/** Why a clause does not pass: who waived it and why, or what does not hold. */
export const clauseWords = ({
  faults,
  waiver,
}: {
  faults: readonly Fault[];
  waiver?: { by: string; why: string };
}): string => (waiver ? `${waiver.by}: ${waiver.why}` : faultsWords(faults));

/** Faults in one sentence; empty if there are none. */
export const faultsWords = (faults: readonly Fault[]): string => faults.map(faultWords).join('; ');
