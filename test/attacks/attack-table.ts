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
    id: 'install-script',
    party: 'mirror',
    goal: 'run code as root where a checkout is set up, and on boards',
    how: 'serves a package with an install script, or fetches machine code that nobody has compiled here',
    refusedBy:
      'npm’s config, which runs no script of a package; enrolment takes only an addon that was compiled here',
  },
  {
    id: 'landing-without-approval',
    party: 'coordinator',
    goal: 'land what nobody has approved',
    how: 'asks a builder to land the series while its review is still open, with no approval and with one of its own',
    refusedBy: 'the builder, which checks start, plan and approvals with its own trust file',
  },
  {
    id: 'login-of-a-board',
    party: 'board',
    goal: 'reach the log’s server from the backup host, fill its disk, or have another board’s backups',
    how: 'writes its own authorized_keys, forwards ports, asks for a shell, plants links, and stores without end',
    refusedBy:
      'sshd of the backup host: a user and a root for each board, keys that are root’s, a file system with an end',
  },
  {
    id: 'login-of-a-publisher',
    party: 'publisher',
    goal: 'have the keys of a builder, or change what it offers',
    how: 'logs in to fetch packages, and reads host.nkey and the git key, writes, forwards ports, asks for a shell',
    refusedBy:
      'sshd of the builder: the publisher’s user sees nothing but what is offered, and changes nothing',
  },
  {
    id: 'made-up-backup',
    party: 'coordinator',
    goal: 'put files of its own over a board',
    how: 'puts an archive with a cron file and another Image into the backup folder, and asks the board to go back to it',
    refusedBy:
      'the board, which goes back to what it has signed itself alone, and unpacks only what its config keeps',
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
    id: 'more-than-a-kernel',
    party: 'builder',
    goal: 'run a program of its own on a board',
    how: 'packs a cron file, or a scriptlet, beside the kernel that it has built from the approved sources',
    refusedBy:
      'publisher and board, which compare what a package holds with the package before; the plan may allow a path',
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
    id: 'planted-link',
    party: 'builder',
    goal: 'have a file of root’s, or write over one',
    how: 'as the agent’s user, puts links in the place of its keys, folders and journal before the host is enrolled again or retired',
    refusedBy: 'enrolment, which follows no link of that user’s: it works in folders that it holds open',
  },
  {
    id: 'revoked-in-the-middle',
    party: 'approver',
    goal: 'have a stolen key’s approval, or build, counted to the end',
    how: 'approves, or builds, with the stolen key just before it is revoked',
    refusedBy:
      'the coordinator, which voids the approval and the build and asks for others, and each host by its own fleet file',
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
    id: 'secret-left-open',
    party: 'local user',
    goal: 'have the key that signs packages, or the key of the log’s server',
    how: 'reads the files that the documented commands leave behind',
    refusedBy: 'the modes of these files: keys are made under a mask, and travel through a pipe',
  },
  {
    id: 'signed-by-the-publisher',
    party: 'publisher',
    goal: 'bring any program to a board by its next pacman -Syu',
    how: 'signs a package of its own and adds it to the repository, with no proof and with that of an approved one',
    refusedBy:
      'the board’s pacman, whose hook asks a builder’s attestation and people’s approvals of these very bytes for this board',
  },
  {
    id: 'slow-expression',
    party: 'patch author',
    goal: 'keep a host busy for ever',
    how: 'a text for which a regular expression tries each way to divide it: a line of 100,000 blanks in a makefile',
    refusedBy:
      'each host: its expressions take linear work, and those of a PKGBUILD at most a number of steps',
  },
  {
    id: 'unconfined-pkgbuild',
    party: 'PKGBUILD author',
    goal: 'read the keys of a builder, and use its network',
    how: 'runs prepare() on a builder where nothing can be confined, and whose config does not speak of it',
    refusedBy: 'the builder, which does not even read the PKGBUILD: confinement is required by default',
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
