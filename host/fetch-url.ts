import { PrintedTooMuch } from './errors.ts';
import type { Run } from './run.ts';

export interface Fetched {
  /** curl's own; `too-much` if the server sent more than was expected. */
  ended: number | 'too-much';
  seconds: number;
  /** What curl said. */
  stderr: string;
}

/**
 * Fetches a URL into a file with curl. The bytes are counted here, since curl 7.88 keeps to `--max-filesize` only if the
 * server names a Content-Length.
 * @param from where the file goes on; 0 writes it from its beginning.
 * @param atMostBytes how long the whole file may become.
 * @param options more options of curl's: how long to wait, and for what.
 * @throws what the disk says, if the file can't be written.
 */
export const fetchUrl = async (
  run: Run,
  { url, file, from, atMostBytes }: { url: string; file: string; from: number; atMostBytes: number },
  { options, timeoutMs }: { options: readonly string[]; timeoutMs: number },
): Promise<Fetched> => {
  const started = performance.now();
  const ended = await run(
    [
      ...['curl', '--fail', '--silent', '--show-error', '--proto', '=http,https'],
      ...(from > 0 ? ['--continue-at', String(from)] : []),
      ...['--max-filesize', String(atMostBytes), ...options, '--', url],
    ],
    {
      into: { file, append: from > 0, atMostBytes: atMostBytes - from },
      exitCodes: Array.from({ length: 100 }, (_, code) => code),
      quiet: true,
      timeoutMs,
    },
  ).catch((error: unknown) => {
    if (error instanceof PrintedTooMuch) return { exitCode: 'too-much' as const, stderr: error.message };
    throw error;
  });
  return {
    ended: ended.exitCode,
    seconds: (performance.now() - started) / 1000,
    stderr: ended.stderr.trim(),
  };
};
