import { isUtf8 } from 'node:buffer';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import { NoPlainFile, readPlainFile } from '../../eventlog/files/plain-file.ts';
import { largestBlobBytes } from '../../schemas/blob-marker.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import { type Patch, Plan, patchBytes, patchOf, patchText, planHash } from '../../schemas/plan.ts';
import { type FileFault, longestYamlBytes, readYaml, spellFaults } from '../../schemas/yaml-file.ts';
import { DraftPlan } from './draft-plan.ts';
import { patchFaults } from './patch-faults.ts';
import { checkHosts, checkPlan, type Report } from './plan-rules.ts';

/** A plan with everything that belongs to it, ready to start. */
export interface LoadedPlan {
  plan: Plan;
  /** The plan's own file. */
  planText: string;
  /** One sha256 over the plan's file and every patch: what an approval approves. */
  planSha256: string;
  series: Patch[];
}

/** The plan can't be used. Each entry of `faults` reads `file:line:column: what is wrong`. */
export class PlanFaults extends Error {
  override readonly name = 'PlanFaults';
  readonly faults: string[];

  constructor(faults: string[]) {
    super(faults.join('\n'));
    this.faults = faults;
  }
}

/** A whole series has to fit into one blob, beside the start and beside each request that carries it. */
const longestSeriesBytes = largestBlobBytes;

const whyUnread = (error: unknown, file: string): string => {
  if (error instanceof NoPlainFile) return error.message;
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return `there is no ${file}`;
  return `can't be read: ${error}`;
};

const readSeries = (
  { series: { folder: named, patches } }: DraftPlan,
  planFile: string,
  report: Report,
): Patch[] => {
  if (named === undefined) return [];
  const root = dirname(resolve(planFile));
  const folder = resolve(root, named);
  if (isAbsolute(named)) report(['series', 'folder'], 'has to be relative to the plan');
  let bytes = 0;
  const series = patches.flatMap((file, index): Patch[] => {
    if (file === undefined) return [];
    const at = ['series', 'patches', index];
    let patch: Patch;
    try {
      patch = patchOf(file, readPlainFile(resolve(folder, file), longestSeriesBytes));
    } catch (error) {
      report(at, `patch ${file}: ${whyUnread(error, relative(root, resolve(folder, file)))}`);
      return [];
    }
    if (!isUtf8(patchBytes(patch))) report(at, `patch ${file}: can't be read: it is no UTF-8 text`);
    for (const fault of patchFaults(patchText(patch))) report(at, `patch ${file} ${fault}`);
    bytes += patch.base64.length;
    return [patch];
  });
  if (bytes > longestSeriesBytes)
    report(
      ['series', 'patches'],
      `the series has ${bytes} bytes in base64, at most ${longestSeriesBytes} travel in the log`,
    );
  return series;
};

/**
 * Reads a plan and the patches that it names, and checks all of it.
 * @param fleet if given, the plan's hosts and people are checked against it.
 * @throws {PlanFaults} with every fault at once.
 */
export const loadPlan = (planFile: string, fleet?: Fleet): LoadedPlan => {
  let text: string;
  try {
    text = readPlainFile(planFile, longestYamlBytes).toString('utf8');
  } catch (error) {
    const message = whyUnread(error, 'such file');
    throw new PlanFaults(spellFaults(planFile, [{ line: 1, column: 1, message }]));
  }
  const { value: plan, faults, place, raw } = readYaml(text, Plan);
  const found: FileFault[] = [...faults];
  const report: Report = (path, message) => void found.push({ ...place(path), message });
  const draft = DraftPlan.parse(raw);
  const series = readSeries(draft, planFile, report);
  checkPlan(draft, report);
  if (fleet) checkHosts(draft, fleet, report);
  if (!plan || found.length > 0) throw new PlanFaults(spellFaults(planFile, found));
  return { plan, planText: text, planSha256: planHash(text, series), series };
};
