import { createHash } from 'node:crypto';
import { ProgramFailed } from '../../host/errors.ts';
import type { Run } from '../../host/run.ts';
import type { PublisherConfig } from '../../schemas/config.ts';

type Mirror = NonNullable<PublisherConfig['mirror']>;

/** rsync gives up after this long without a byte, and in any case after {@link copyMs}. */
const stallSeconds = 60;
const copyMs = 4 * 3_600_000;

/** A file that the mirror has to serve. */
export interface ServedFile {
  file: string;
  sha256: string;
  sizeBytes: number;
}

/**
 * Copies a view to the mirror. The files that a database names arrive before it, and nothing is removed.
 * @param folder The view.
 * @param name The repository's name.
 * @param gone The files that the view before had and this one has not: they are taken away last, and nothing else is.
 */
export const copyToMirror = async (
  run: Run,
  mirror: Mirror,
  { folder, name, gone }: { folder: string; name: string; gone: readonly string[] },
): Promise<void> => {
  const databases = [`/${name}.db`, `/${name}.db.*`, `/${name}.files`, `/${name}.files.*`];
  const from = `${folder}/`;
  const to = `${mirror.destination.replace(/(?<!\/)\/+$/, '')}/`;
  // -1 compares nanoseconds: a signature that is made again has the same size, and maybe the same second.
  const rsync = [
    ...['rsync', '--recursive', '--times', '--omit-dir-times', '--modify-window=-1'],
    ...['--delay-updates', `--timeout=${stallSeconds}`],
  ];
  const copy = (...filters: string[]) => run([...rsync, ...filters, '--', from, to], { timeoutMs: copyMs });
  await copy(...databases.map((pattern) => `--exclude=${pattern}`));
  await copy(...databases.map((pattern) => `--include=${pattern}`), '--exclude=*');
  if (gone.length === 0) return;
  // What is excluded is not deleted either. A mirror that lets nothing be removed keeps them: rsync's own words say so.
  const removal = [...rsync, '--delete', '--include-from=-', '--exclude=*', '--', from, to];
  await run(removal, { timeoutMs: copyMs, input: gone.map((file) => `/${file}\n`).join('') }).catch(
    (error: unknown) => {
      if (!(error instanceof ProgramFailed)) throw error;
    },
  );
};

/** The sha256 of what the mirror serves under a name, or why there is none. No more is read than is expected. */
const fetchBack = async (
  mirror: Mirror,
  { file, sizeBytes }: ServedFile,
  signal?: AbortSignal,
): Promise<string> => {
  const base = mirror.url.endsWith('/') ? mirror.url : `${mirror.url}/`;
  const response = await fetch(new URL(encodeURIComponent(file), base), {
    headers: { 'cache-control': 'no-cache' },
    ...(signal ? { signal } : {}),
  });
  if (!response.ok || response.body === null) return `HTTP ${response.status}`;
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of response.body) {
    bytes += piece.length;
    if (bytes > sizeBytes) return `more than ${sizeBytes} bytes`;
    hash.update(piece);
  }
  return hash.digest('hex');
};

/** Fetches the files from the mirror's URL, one after the other. @returns those that are not the expected ones. */
export const differencesOnMirror = async (
  mirror: Mirror,
  files: readonly ServedFile[],
  signal?: AbortSignal,
): Promise<{ file: string; found: string }[]> => {
  const differences: { file: string; found: string }[] = [];
  for (const file of files) {
    const found = await fetchBack(mirror, file, signal);
    if (found !== file.sha256) differences.push({ file: file.file, found });
  }
  return differences;
};
