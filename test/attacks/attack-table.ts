import type { TestTable } from '../tables/test-table.ts';

/** Whoever may be taken over, or may mean harm. docs/trust.md says what each of them can do at most. */
export const parties = [
  'network',
  'board',
  'builder',
  'publisher',
  'backup host',
  'coordinator',
  'log server',
  'patch author',
  'PKGBUILD author',
  'mirror',
  'approver',
  'starter',
  'local user',
  'yesterday’s backup of a host',
] as const;

/** An attack with the keys of one party, and who refuses it. */
interface Attack {
  /** The name of its test: test/attacks/ID.test.ts. */
  id: string;
  party: (typeof parties)[number];
  goal: string;
  how: string;
  refusedBy: string;
}

/** In the order of their ids. Each has its test, and all of them pass. */
export const attackTable = [
  {
    id: 'approval-for-another-board',
    party: 'coordinator',
    goal: 'bring a kernel to a board that nobody approved it for',
    how: 'asks one board to install what people have approved, and a builder has built, for another',
    refusedBy: 'the board, which compares what was approved with its own name',
  },
  {
    id: 'download-without-end',
    party: 'mirror',
    goal: 'fill the board’s disk',
    how: 'sends a body without a Content-Length that never ends, where a package or a signature is expected',
    refusedBy: 'the board, which counts what arrives, and the publisher that fetches it back',
  },
  {
    id: 'false-word',
    party: 'log server',
    goal: 'let a host say in ka fleet and ka output what it has not said',
    how: 'shows presences and output of its own making, those of another attempt or host, and old ones again',
    refusedBy:
      'the reader: each presence and each piece of output is signed by its host, and names its place, its number and its time',
  },
  {
    id: 'flooded-log',
    party: 'board',
    goal: 'stop the fleet by filling its log',
    how: 'publishes as fast as it can, under subjects of its own: rubbish, and signed events of an unknown type',
    refusedBy:
      'the keeper, which takes its right to publish within seconds; the log has a size, and readers a bounded memory',
  },
  {
    id: 'forged-document',
    party: 'board',
    goal: 'have the close document, a terminal or a test report say what nobody has said',
    how: 'puts markup, line ends and escape sequences into each text of its evidence; an approver, into a note',
    refusedBy: 'the reader, which escapes foreign text in one place for each format; names have schemas',
  },
  {
    id: 'landing-without-approval',
    party: 'coordinator',
    goal: 'land what nobody has approved',
    how: 'asks a builder to land the series while its review is still open, with no approval and with one of its own',
    refusedBy: 'the builder, which checks start, plan and approvals with its own copy of the fleet’s file',
  },
  {
    id: 'made-up-epoch',
    party: 'coordinator',
    goal: 'stop a host for ever',
    how: 'signs a request, or a checkpoint, of the epoch 2^53 − 1: every later one would be of an epoch that is over',
    refusedBy:
      'the host, which believes an epoch only if a person who may restore the log has signed that it begins',
  },
  {
    id: 'package-after-approval',
    party: 'PKGBUILD author',
    goal: 'bring code into a kernel that nobody reviewed',
    how: 'pushes another prepare() and package() after preflight, which the approval was given for',
    refusedBy: 'the builder, which lands only the approved tree; after a retry the review shows the change',
  },
  {
    id: 'plain-log-server',
    party: 'network',
    goal: 'read the log, and log in at its server as a writer',
    how: 'answers in the place of the log’s server, and says that it has no TLS; or shows a certificate of its own',
    refusedBy:
      'the writer, which requires TLS off loopback and verifies the certificate, also without `caFile`',
  },
  {
    id: 'rolled-up-output',
    party: 'board',
    goal: 'erase what other hosts have shown',
    how: 'publishes on its own subjects with the header Nats-Rollup: all',
    refusedBy: 'the log’s server: rollup is off in every stream, also in those that were made with it',
  },
  {
    id: 'rubbish-in-the-log',
    party: 'board',
    goal: 'make the check of the log fail for good, so that nobody sees a real fault',
    how: 'publishes what is no event of its own: unsigned, misplaced, or out of its own chain',
    refusedBy:
      'the reader, which makes one alarm of it; a person acknowledges exactly these bytes, and the check passes',
  },
  {
    id: 'slow-expression',
    party: 'patch author',
    goal: 'keep a host busy for ever',
    how: 'a text for which a regular expression tries each way to divide it: a line of 100,000 blanks in a makefile',
    refusedBy:
      'each host: its expressions take linear work, and those of a PKGBUILD at most a number of steps',
  },
] as const satisfies readonly Attack[];

export const attacks: TestTable = {
  columns: [
    { key: 'party', head: 'party', share: 0.14 },
    { key: 'goal', head: 'goal', share: 0.24 },
    { key: 'how', head: 'how', share: 0.34 },
    { key: 'refusedBy', head: 'refused by', share: 0.28 },
  ],
  rows: attackTable,
};

export type AttackId = (typeof attackTable)[number]['id'];
