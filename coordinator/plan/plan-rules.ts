import type { Fleet } from '../../schemas/fleet.ts';
import type { Role } from '../../schemas/step-names.ts';
import type { DraftPlan } from './draft-plan.ts';

/** Reports a fault at a place of the plan. */
export type Report = (path: readonly PropertyKey[], message: string) => void;

type Names = readonly (string | undefined)[];

const repeated = (values: Names): number[] =>
  values.flatMap((value, index) => (value !== undefined && values.indexOf(value) < index ? [index] : []));

const checkRepeats = ({ clauses, series, hosts, sweep }: DraftPlan, report: Report) => {
  const unique = (what: string, values: Names, path: (index: number) => PropertyKey[]) => {
    for (const index of repeated(values)) report(path(index), `duplicate ${what} ${values[index]}`);
  };
  const names = (list: readonly { name?: string | undefined }[]) => list.map(({ name }) => name);
  unique(
    'clause',
    clauses.map(({ id }) => id),
    (index) => ['clauses', index, 'id'],
  );
  unique('patch', series.patches, (index) => ['series', 'patches', index]);
  unique('host', hosts.builders, (index) => ['hosts', 'builders', index]);
  unique('row', names(sweep.rows), (index) => ['sweep', 'rows', index, 'name']);
  unique('path', names(sweep.paths), (index) => ['sweep', 'paths', index, 'name']);
};

const checkSweep = ({ sweep }: DraftPlan, report: Report) => {
  const paths = sweep.paths.map(({ name }) => name);
  sweep.rows.forEach(({ name, expect, because }, at) => {
    expect.forEach((expectation, index) => {
      for (const path of expectation?.split(/ !?= /) ?? [])
        if (!paths.includes(path))
          report(
            ['sweep', 'rows', at, 'expect', index],
            `unknown path "${path}"; the sweep has ${paths.join(', ')}`,
          );
    });
    if (because === undefined && expect.some((expectation) => expectation?.includes(' != ')))
      report(['sweep', 'rows', at], `row ${name} expects a difference and gives no "because"`);
  });
};

/** A clause may only be bound to evidence that the iteration will show. */
const checkProofs = ({ clauses, series, review, close }: DraftPlan, report: Report) => {
  if (review.approvals.length === 0)
    report(
      ['review', 'approvals'],
      'nobody is asked for a review: name somebody whose approval it waits for',
    );
  const recorded = [close.document, close.scoreboard.file, ...close.notes.map(({ file }) => file)];
  clauses.forEach(({ id, proof }, at) => {
    proof.forEach(({ check, patch, by, file }, index) => {
      const where = ['clauses', at, 'proof', index];
      if ((check === 'patch-applies' || check === 'patch-landed') && patch !== undefined)
        if (!series.patches.includes(patch))
          report(
            [...where, 'patch'],
            `${id} is bound to ${patch}, which is not in the series: no evidence of it`,
          );
      if (check === 'approved')
        by.forEach((person, nth) => {
          if (person !== undefined && !review.approvals.includes(person))
            report(
              [...where, 'by', nth],
              `${id} is bound to the approval of ${person}, which the review does not ask for`,
            );
        });
      if (check === 'recorded' && file !== undefined && !recorded.includes(file))
        report([...where, 'file'], `${id} is bound to ${file}, which the close does not record`);
    });
  });
};

/** The rules of a plan that its schema can't express. */
export const checkPlan = (plan: DraftPlan, report: Report) => {
  if (plan.series.folder === undefined) report(['series', 'folder'], 'name the folder of the patch files');
  if (plan.series.patches.length === 0) report(['series', 'patches'], 'name at least one patch file');
  if (plan.iteration === 'restore')
    report(['iteration'], '"restore" is what `ka log restore` is called: give the iteration another name');
  checkRepeats(plan, report);
  checkSweep(plan, report);
  checkProofs(plan, report);
  const { from, to, installed } = plan.package;
  if (from !== undefined && from === to)
    report(['package', 'to'], `the package goes from ${from} to itself: raise the pkgrel`);
  if (installed !== undefined && installed === to)
    report(['package', 'installed'], `the board has ${to} already: raise the pkgrel`);
};

/** Checks that the plan's hosts and people are in the fleet, each in a role that fits. */
export const checkHosts = ({ board, hosts, review }: DraftPlan, fleet: Fleet, report: Report) => {
  const expect = (path: PropertyKey[], host: string | undefined, ...roles: Role[]) => {
    if (host === undefined) return;
    const there = Object.hasOwn(fleet.hosts, host) ? fleet.hosts[host] : undefined;
    if (!there)
      report(
        path,
        `unknown host "${host}"; the fleet ${fleet.fleet} has ${Object.keys(fleet.hosts).join(', ')}`,
      );
    else if (!roles.includes(there.role))
      report(path, `${host} is a ${there.role}, not a ${roles.join(' or ')}`);
  };
  hosts.builders.forEach((host, index) => {
    expect(['hosts', 'builders', index], host, 'builder');
  });
  expect(['hosts', 'publisher'], hosts.publisher, 'publisher');
  expect(['hosts', 'backup'], hosts.backup, 'publisher', 'builder');
  expect(['board'], board, 'board');
  review.approvals.forEach((person, index) => {
    if (person === undefined) return;
    const there = Object.hasOwn(fleet.operators, person) ? fleet.operators[person] : undefined;
    if (!there?.may.includes('approve'))
      report(
        ['review', 'approvals', index],
        there
          ? `${person} may not approve: the fleet's file does not say so`
          : `unknown person "${person}"; the fleet ${fleet.fleet} has ${Object.keys(fleet.operators).join(', ')}`,
      );
  });
};
