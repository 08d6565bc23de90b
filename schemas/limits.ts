import { z } from 'zod';

/**
 * How much of one kind of thing stays on a disk: the newest, within each of the numbers that are given. What somebody may
 * still need counts, and stays whatever they say; without any of them everything stays.
 */
export const Limit = z.strictObject({
  number: z.int().min(0).optional(),
  bytes: z.int().min(0).optional(),
  /** Since it was made, or used last. */
  days: z.number().min(0).optional(),
});
export type Limit = z.infer<typeof Limit>;

const gibibyte = 1024 ** 3;

/** On every host: the ended iterations of which the journal keeps what each effect has found and given. */
const everyHost = { effects: Limit.default({ number: 20 }) };

/** What a builder keeps. */
export const BuilderKeeps = z.strictObject({
  ...everyHost,
  /** Built packages, one folder a build. */
  offers: Limit.default({ number: 10 }),
  /** Worktrees, one a pkgbase: without its own the next build compiles everything. */
  trees: Limit.default({ number: 8, days: 90 }),
  /** What makepkg has fetched, in makepkg.sourcesFolder. What a person has put there stays. */
  sources: Limit.default({ bytes: 32 * gibibyte, days: 180 }),
  /** The compiler's cache, where makepkg.environment names a CCACHE_DIR: ccache keeps to this by itself. */
  ccache: z.strictObject({ bytes: z.int().min(1024) }).default({ bytes: 5 * gibibyte }),
});

/** What a publisher keeps. */
export const PublisherKeeps = z.strictObject({
  ...everyHost,
  /** Views of the repository, one a publication. */
  views: Limit.default({ number: 10 }),
  /** The files of one package, in the view that is served and on the mirror. Those that a view's database names stay. */
  packages: Limit.default({ number: 10 }),
});

/** What a board keeps. */
export const BoardKeeps = z.strictObject({
  ...everyHost,
  /** Its backups, here. */
  backups: Limit.default({ number: 3 }),
  /** Their copies on the backup host. */
  copies: Limit.default({ number: 10 }),
});
