import { isDeepStrictEqual } from 'node:util';
import { durationSeconds } from '../../schemas/plan.ts';
import { type StepName, stepNames } from '../../schemas/step-names.ts';
import type { BuildBefore, StepEvidence } from '../../schemas/steps.ts';
import { attemptsOf, evidenceOf, expectedRelease, type Iteration } from '../decider/state.ts';
import { comparisonFaults, judgeSweep } from '../decider/sweep-judgement.ts';
import { verdictsOf } from '../decider/verdicts.ts';
import { clauseWords, comparisonWords } from './english/check-faults.ts';
import { endingWords } from './english/reasons.ts';
import { goBackWords } from './event-line.ts';
import { code, joined, type Markdown, markdownTable, md, spokenSeconds } from './markdown.ts';
import { risksOf } from './risks.ts';

const short = (hash: string | null | undefined): Markdown => (hash ? code(hash.slice(0, 12)) : md`–`);
const section = (title: string, body: Markdown): Markdown => md`## ${title}\n\n${body}\n`;
const none = md`Nothing in the log yet.`;

const patches = (iteration: Iteration): Markdown => {
  const tried = evidenceOf(iteration, 'preflight')?.evidence;
  if (!tried) return none;
  const landed = evidenceOf(iteration, 'land')?.evidence;
  const table = markdownTable(
    ['patch', 'author', 'lines', 'sha256', 'applies'],
    tried.patches.map(({ file, author, files, sha256, status }) => [
      file,
      author,
      `+${files.reduce((sum, { added }) => sum + added, 0)} −${files.reduce((sum, { removed }) => sum + removed, 0)}`,
      short(sha256),
      status,
    ]),
  );
  const commits = landed?.commits.map(
    ({ repository, branch, commit, files }) =>
      md`- ${repository}, ${branch}: ${code(commit)} (${files.map(({ path }) => path).join(', ')})`,
  );
  return joined(
    [
      table,
      md`Baseline ${tried.baseline.tag} ${code(tried.baseline.commit)}, patched tree ${code(tried.tree)}, patchset ${code(tried.patchset)}.`,
      commits ? md`Landed as:\n\n${joined(commits, '\n')}` : 'Not landed.',
    ],
    '\n\n',
  );
};

const symbols = (iteration: Iteration): Markdown => {
  const found = evidenceOf(iteration, 'preflight')?.evidence.symbols;
  if (!found) return none;
  // Even if all symbols of the plan's list are found, the series may use others that the plan does not list.
  const unlisted = found.filter(({ listed }) => !listed);
  const own = unlisted.filter(({ status }) => status !== 'found').length;
  const called = unlisted.filter(({ status, exported }) => status === 'found' && exported);
  const parts = [
    `The plan lists ${found.length - unlisted.length}. The series uses ${unlisted.length} that it does not list, ${own} of them its own.`,
    ...(called.length > 0
      ? [
          md`Exported by the baseline, used and not listed: ${joined(
            called.map(({ symbol }) => code(symbol)),
            ', ',
          )}.`,
        ]
      : []),
    markdownTable(
      ['symbol', 'listed', 'used by', 'hits', 'defined in', 'exported', 'status'],
      found.map(({ symbol, listed, usedBy, hits, definedIn, exported, status }) => [
        symbol,
        listed ? 'yes' : 'no',
        usedBy.map((file) => file.slice(0, 4)).join(', ') || '–',
        String(hits),
        definedIn ?? '–',
        exported ? 'yes' : 'no',
        status,
      ]),
    ),
  ];
  return joined(parts, '\n\n');
};

const manifest = (iteration: Iteration): Markdown => {
  const includes = evidenceOf(iteration, 'land')?.evidence.includes;
  if (!includes) return none;
  const added = includes.after.filter((entry) => !includes.before.includes(entry));
  return joined(
    [
      md`${code(iteration.plan.manifest.file)} had ${includes.before.length} includes and has ${includes.after.length}.`,
      ...added.map((entry) => md`- added ${entry}`),
    ],
    '\n',
  );
};

const buildTimes = ({
  host,
  evidence: { seconds, commit, sources, compiled, before },
}: {
  host: string;
  evidence: StepEvidence<'build'>;
}): Markdown => {
  const timed = (of: BuildBefore) =>
    `${spokenSeconds(of.seconds)}${of.compiled === undefined ? '' : `, ${of.compiled} files compiled`}`;
  const now = { commit, seconds, ...(compiled === undefined ? {} : { compiled }) };
  const counted = `${sources.changed} of ${sources.files} source files had changed since the build before in its worktree, ${sources.removed} had gone.`;
  const said = `Built by ${host} from ${commit} in ${timed(now)}: ${counted}`;
  if (!before) return md`${said}`;
  const row = (which: string, of: BuildBefore | undefined) =>
    of ? [[which, code(of.commit), timed(of)]] : [];
  const table = markdownTable(
    ['build in this worktree', 'of commit', 'took'],
    [
      ...row('the first, with nothing there', before.first),
      ...(isDeepStrictEqual(before.first, before.last) ? [] : row('the one before', before.last)),
      ...row('this one', now),
    ],
  );
  return md`${said}\n\n${table}`;
};

const artifacts = (iteration: Iteration): Markdown => {
  const built = evidenceOf(iteration, 'build');
  if (!built) return none;
  const published = evidenceOf(iteration, 'publish')?.evidence;
  const parts = [
    markdownTable(
      ['package', 'bytes', 'sha256', 'signature'],
      built.evidence.packages.map(({ file, sizeBytes, sha256 }) => [
        file,
        String(sizeBytes),
        code(sha256),
        short(published?.packages.find((one) => one.file === file)?.signatureSha256),
      ]),
    ),
    buildTimes(built),
    published
      ? md`Signed with ${code(published.fingerprint)}, database ${short(published.database.sha256)}, view ${published.view ?? 'none'}${published.mirror ? `, mirrored to ${published.mirror.url} and fetched back` : ''}.`
      : 'Not published.',
  ];
  return joined(parts, '\n\n');
};

const matrix = (iteration: Iteration): Markdown => {
  const { plan } = iteration;
  const before = evidenceOf(iteration, 'presweep')?.evidence;
  const after = evidenceOf(iteration, 'sweep')?.evidence;
  if (!before && !after) return none;
  const isCompared = (row: string, path: string) =>
    plan.sweep.rows.some(
      ({ name, expect }) => name === row && expect.some((each) => each.split(' ').includes(path)),
    );
  const table = (title: string, swept: StepEvidence<'sweep'>) => {
    const judged = judgeSweep(plan.sweep, swept);
    const cell = (row: string, path: string) => {
      const found = swept.table.find((one) => one.row === row && one.path === path);
      if (!found && !isCompared(row, path)) return '–';
      return found?.status === 'ok' ? short(found.sha256) : (found?.status ?? 'not swept');
    };
    const parts = [
      md`${title}: **${judged.passed} of ${judged.total}** on ${swept.version}, ${code(swept.release)}.`,
      markdownTable(
        ['row', ...plan.sweep.paths.map(({ name }) => name), 'as expected'],
        judged.rows.map((one) => [
          one.row,
          ...plan.sweep.paths.map(({ name }) => cell(one.row, name)),
          one.verdict === 'PASS' ? 'yes' : `no: ${comparisonFaults(one).map(comparisonWords).join('; ')}`,
        ]),
      ),
    ];
    return joined(parts, '\n\n');
  };
  const parts = [
    ...(before ? [table('Before', before)] : []),
    after ? table('After', after) : 'Not swept afterwards.',
    ...plan.sweep.rows.flatMap(({ name, because }) => (because ? [`${name}: ${because}`] : [])),
  ];
  return joined(parts, '\n\n');
};

const durations = (iteration: Iteration): Markdown => {
  const { expected } = iteration.plan;
  const rows = stepNames.flatMap((step: StepName) =>
    attemptsOf<StepName>(iteration, step).map((attempt) => {
      const took = attempt.status === 'succeeded' ? spokenSeconds(attempt.seconds) : attempt.status;
      const predicted = expected[step];
      return [
        step,
        String(attempt.number),
        attempt.host,
        took,
        predicted ? spokenSeconds(durationSeconds(predicted)) : '–',
      ];
    }),
  );
  return rows.length > 0 ? markdownTable(['step', 'attempt', 'host', 'took', 'predicted'], rows) : none;
};

const approvals = ({ approvals: words, plan, waivers }: Iteration): Markdown => {
  const lines = words.map(
    ({ by, note, approved, trees, time }) =>
      md`- ${by} ${approved ? 'approved' : 'rejected'} ${joined(
        trees.map(({ purpose, tree }) => md`${purpose} tree ${short(tree)}`),
        ', ',
      )} at ${time}: ${note}`,
  );
  const waived = waivers.map(({ clause, by, why }) => md`- ${by} waived ${clause}: ${why}`);
  if (lines.length + waived.length > 0) return joined([...lines, ...waived], '\n');
  return plan.review.approvals.length > 0
    ? md`Nobody has said anything yet.`
    : md`The plan asks for no approval.`;
};

const risks = (iteration: Iteration): Markdown =>
  iteration.plan.risks.length === 0
    ? md`The plan names none.`
    : markdownTable(
        ['risk', 'came up', 'answer'],
        risksOf(iteration).map(({ risk, answer, cameUp }) => [
          risk,
          cameUp === undefined ? 'no sign named' : (cameUp ?? 'no'),
          answer,
        ]),
      );

const clauses = (iteration: Iteration): Markdown =>
  markdownTable(
    ['clause', 'verdict', 'says', 'events'],
    verdictsOf(iteration).map(({ id, verdict, says, events, ...why }) => [
      id,
      verdict,
      verdict === 'PASS' ? says : `${says} (${clauseWords(why)})`,
      events.join(', ') || '–',
    ]),
  );

/**
 * The close document of an iteration, made from the log. While the iteration is still recording, the clauses about the
 * record itself have no evidence yet, and the document shows them so.
 */
export const closeDocument = (iteration: Iteration): string => {
  const { plan, ended } = iteration;
  const how = ended
    ? `${ended.status[0]?.toUpperCase()}${ended.status.slice(1)} at ${ended.time}: ${endingWords(ended)}.`
    : 'Under way; what is missing below has not happened yet.';
  const back =
    ended && ended.status !== 'closed'
      ? [section('Where to go back to', md`${goBackWords(plan.goBack)}`)]
      : [];
  const parts = [
    md`# ${iteration.name}: ${plan.title}\n`,
    md`${plan.board}, ${plan.package.base} ${plan.package.from} → ${plan.package.to}, ${code(expectedRelease(iteration) ?? 'release not known yet')}. Started ${iteration.started.time} by ${iteration.startedBy}, plan ${code(iteration.planSha256)}.\n`,
    md`${how}\n`,
    ...back,
    section('Clauses', clauses(iteration)),
    section('Patches', patches(iteration)),
    section('Symbols', symbols(iteration)),
    section('Manifest', manifest(iteration)),
    section('Artifacts', artifacts(iteration)),
    section('Sweep', matrix(iteration)),
    section('Durations', durations(iteration)),
    section('Approvals', approvals(iteration)),
    section('Risks', risks(iteration)),
    section('Scoreboard', md`${scoreboardLine(iteration)}`),
  ];
  return joined(parts, '\n').text;
};

const scoreboardLine = (iteration: Iteration): string => {
  const { before, after } = iteration.plan.close.scoreboard;
  const swept = evidenceOf(iteration, 'sweep')?.evidence;
  if (!swept || (iteration.ended && iteration.ended.status !== 'closed')) return `${before} (unchanged)`;
  const { passed, total } = judgeSweep(iteration.plan.sweep, swept);
  return passed === total
    ? `${after} (was ${before}); ${passed} of ${total} rows as expected`
    : `${before} (unchanged)`;
};

/** A note that the plan asks for, with the iteration on which it is based. */
export const closeNote = (iteration: Iteration, text: string): string =>
  `${text.trim()}\n\nRecorded by ${iteration.name}, plan \`${iteration.planSha256}\`, sweep ${scoreboardLine(iteration)}.\n`;
